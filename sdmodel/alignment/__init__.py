"""Losses on a denoiser's hidden features, beside the denoising error: representation alignment."""
