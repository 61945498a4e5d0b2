"""Joint training: self-supervised losses over the trunk of a denoiser, beside the denoising error."""
