"""Samplers against the true end of the path, and against diffusers' schedulers."""
