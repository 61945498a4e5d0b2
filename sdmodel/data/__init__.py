"""Reading a dataset: its index, its tars, its pictures in an order that is a function of (seed, images seen)."""
