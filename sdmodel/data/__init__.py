"""Reading a dataset: index, tars, and pictures in an order that is a function of (seed, images seen)."""
