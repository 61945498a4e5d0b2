"""From captions to images."""
