"""The model: text encoders, denoisers, noise, the training loop, sampling, metrics. Knows tensors and tar
shards."""
