"""Measuring a trained text-to-image model."""
