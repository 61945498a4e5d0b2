"""The self-supervised objective: an image encoder that needs no captions."""
