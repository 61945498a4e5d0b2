"""train: a dataset becomes a model; its checkpoints are the stage's parts."""
