"""Text-to-image diffusion: the model, its objective, and the folders that hold it."""
