"""Contrastive image-text training of a small CLIP that stock open_clip loads."""
