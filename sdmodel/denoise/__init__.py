"""Estimating the clean image behind a noisy one."""
