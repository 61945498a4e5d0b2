"""Latents: what space a denoiser works in, and pictures and captions that frozen encoders have read once."""
