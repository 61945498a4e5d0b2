"""What can be chosen of a model and its training. Imports no torch, so that a deploy machine can read it."""
