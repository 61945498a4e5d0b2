"""From captions to features: the learned tokenizer and the text transformer."""
