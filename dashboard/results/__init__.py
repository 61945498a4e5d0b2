"""What one result says of itself: a collection, a model, a training's curves, a report."""
