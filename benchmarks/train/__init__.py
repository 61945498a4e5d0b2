"""Training speed against what people would otherwise run."""
