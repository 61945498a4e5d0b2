"""Features of pictures by a frozen image encoder: a denoiser is told of them, or draws them itself first."""
