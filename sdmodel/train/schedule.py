"""The learning rate as a function of images seen."""


def rate(images: int, total: int, warmup: int) -> float:
    """Factor on every learning rate, (0, 1], for the step that begins after `images` of `total`.

    It rises linearly over `warmup` images while falling linearly to 0 at the end (Defazio et al. 2023,
    arXiv:2310.07831, find linear decay the best of the usual schedules)."""
    rise = min(1.0, (images + 1) / (warmup + 1))
    fall = max(0.0, 1 - images / total)
    return rise * fall
