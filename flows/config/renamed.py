"""Keys of configs of earlier versions: each is refused with the name that it goes by now."""

RENAMED = {
    "evaluate.guidance": "evaluate.sampling.guidance",
    "evaluate.steps": "evaluate.sampling.steps",
    "train.checkpoint": "train.activation_checkpointing",
    "train.keep_every": "train.checkpoint_keep_every",
    "train.keep_state": "train.checkpoint_keep_state",
    "train.shard": "train.fsdp",
    "train.snapshot_every": "train.checkpoint_every",
}
"""Dotted key that was -> the one that is; without positions in lists."""
