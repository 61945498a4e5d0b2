"""Retention: which versions of a name stay, what goes with those that don't, and dropping it."""
