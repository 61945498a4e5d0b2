"""What the measures and drawings of an evaluation mean, for whoever did not write the report.

Words are looked up by a measure's path and its beginnings, so that a new one of a known group is explained by
its group, and one of an unknown group stands with its name alone.
"""

from collections.abc import Mapping, Sequence

EXPLAINED = {
    "clip.r_at_1_of_64": "share of captions for which CLIP finds their own sample first among 64",
    "frechet.distance": "how far samples are from pictures, as an image encoder sees them",
    "nearest.least": "least distance of a sample to its nearest training image; 0 is a copy",
    "nearest.median": "the same distance, of the sample in the middle; pixels from 0 to 1",
    "oracle": "share of samples in which a program that knows the drawn world finds this as the caption says",
    "oracle.all": "share of samples in which all of it is as the caption says",
    "oracle.clean": "share of samples that look like the drawn world at all",
    "oracle.coverage": "share of shapes in colours of which a sample looks like the drawn world",
    "oracle.samples": "samples that were looked at",
    "similarity.mean": "how well samples and their captions fit, as CLIP sees it; 1 at most",
    "similarity.shuffled": "the same with captions of other samples: what chance gives",
    "similarity.samples": "samples that were looked at",
    "reconstruction.perceptual": "how far off pictures come back, as an image encoder sees them",
    "reconstruction.psnr": "how near to themselves pictures come back by pixels, in decibels",
    "reconstruction.ssim": "how alike they are in brightness, contrast and structure; 1 at most",
    "discriminator.real_as_real": "share of pictures that the discriminator takes for real",
    "discriminator.fake_as_fake": "share of samples that it takes for generated",
    "discriminator.real_over_fake": "share of pairs of a picture and a sample in which it knows the picture",
    "probes": "share of labels that are told right from an image encoder's features: by a linear probe, by "
    "nearest neighbours, by the same on pixels, and by the commonest class",
    "recognition.r_at_1": "share of pictures that an image encoder knows again, cropped and mirrored",
    "retrieval.r_at_1": "share of captions for which the model finds their own picture first",
    "validation.mse": "squared error of what is predicted of noisy pictures that were not learned from",
    "validation.mae": "absolute error of the same",
    "validation.r2": "share of the pictures' variance that is predicted; 1 is all of it",
    "validation.mse_shuffled": "the same error with captions of other pictures: how much captions matter",
    "validation.mae_shuffled": "the same error with captions of other pictures",
    "validation.r2_shuffled": "the same share with captions of other pictures",
    "validation.rows": "pictures that were looked at",
    "validation.from": "least of the times that were looked at; 0 is all noise",
    "validation.to": "greatest of these times; 1 is the picture",
}
"""Path of a measure, or of its group -> what it means."""
BETTER: Mapping[str, Sequence[str]] = {
    "more is better": (
        "clip.",
        "oracle.all",
        "oracle.background",
        "oracle.clean",
        "oracle.colour",
        "oracle.coverage",
        "oracle.position",
        "oracle.shape",
        "oracle.size",
        "reconstruction.psnr",
        "reconstruction.ssim",
        "similarity.mean",
        "retrieval.r_at_1",
        "validation.r2",
    ),
    "less is better": ("frechet.distance", "reconstruction.perceptual", "validation.mse", "validation.mae"),
}
"""Which way is better -> beginnings of paths; of what stands in neither nobody says."""
DRAWINGS = {
    "grid.png": ("Samples", "Drawn by the model for these captions, from fixed noise."),
    "nearest.png": (
        "Samples and their nearest training images",
        "On the left what the model drew, on the right the training image that is nearest by pixels: a copy "
        "would show here.",
    ),
}
"""File -> its title and what it shows."""


def explanation(path: str) -> str:
    """What a measure means and which way is better, in a clause; "" where nobody says."""
    meaning = EXPLAINED.get(path) or EXPLAINED.get(path.partition(".")[0], "")
    better = next((way for way, starts in BETTER.items() if path.startswith(tuple(starts))), "")
    if path.endswith("_shuffled"):
        better = ""
    return "; ".join(words for words in (meaning, better) if words)
