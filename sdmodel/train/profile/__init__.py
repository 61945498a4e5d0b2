"""What a training would take, measured on random data."""
