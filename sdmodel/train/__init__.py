"""The training engine: one loop for every objective, resumable to the bit."""
