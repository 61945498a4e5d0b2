"""Pretraining of text encoders: from pictures, labels, hidden tokens and next tokens."""
