"""Optimizers, and the learning rate over time."""
