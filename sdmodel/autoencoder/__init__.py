"""The autoencoder objective: pictures to small latents and back, as an AutoencoderKL that diffusers loads."""
