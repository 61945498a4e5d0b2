"""What runs on a GPU alone: every path of CUDA that a training takes, and how fast it is."""
