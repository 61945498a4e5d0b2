"""The gan objective: pictures from noise in one pass, by a generator that a discriminator has taught."""
