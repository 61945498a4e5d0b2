"""Commands that run stages and flows."""
