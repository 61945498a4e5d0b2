"""cluster: pictures by what a text encoder says of their captions; a table of labels where nobody wrote any.

The clusters are pseudo-labels: a training of the text objective takes them as `pretrain.clusters`, with
`pretrain.columns: [cluster]`.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sdmodel.text.lengths import Truncation
from stages.artifacts.artifact import Artifact, Funnel
from stages.config.cluster import ClusterConfig
from stages.foreign_text import escape
from stages.output import Output
from stages.pretrained.text import OWN, TABLE
from stages.stage import Stats, StepSettings, stage

if TYPE_CHECKING:
    from sdmodel.text.cluster import Clusters
    from sdmodel.text.encoder import TextEncoder

CLUSTERS = pa.schema([("uid", pa.string()), ("cluster", pa.string())])
"""`clusters.parquet`: a row for each picture of the dataset, in its order."""
PLACES = (OWN, "model/")
"""Where a model keeps a text encoder: a text-to-image model its first, one of the text objective its own."""
LENGTH = 512
"""Tokens read of a caption where the encoder itself has no limit."""
BATCH = 256
"""Captions that are encoded at once."""
WORDS = 3
"""Words that are told of a cluster."""
MORE = 0.05
"""Share of a cluster's pictures, beyond that of all pictures, that a word must have to be told."""
POINTS = 4000
"""Pictures, at most, that the figure shows."""


@stage(version=1, kind="clusters", step=StepSettings(reference="clusters"))
def cluster(dataset: Artifact, encoder: Artifact, config: ClusterConfig, out: Output) -> Stats:
    """Put the pictures of a dataset into clusters of captions that an encoder takes for alike.

    A picture's place is the mean of its captions' pooled states. Centres are found by k-means on the train
    split; every picture goes to the nearest.

    Args:
        dataset: of shard.
        encoder: a model of the text or the contrastive objective, or a text-to-image model with a text
            encoder of its own.
        config: how many clusters, and of how many runs.
        out: gets `clusters.parquet` (CLUSTERS; "00" is the largest) and `clusters.png`.

    Returns:
        The funnel (no picture is left out), and of the train split: `sizes`; `words`, what a cluster's
        captions say more often than others; `inertia`, mean squared distance to a centre, and `explained`,
        the share of the states' variance that the centres take away; `stability_seeds` and `stability_half`,
        adjusted Rand indices; `purity`, and `purity_constant`, that of a single cluster, or None without
        `config.column`.

    Raises:
        ValueError: the model has no text encoder, the column is no good, or there are fewer different
            captions than clusters.
    """
    from sdmodel.data.index import caption_texts
    from sdmodel.text.cluster import best_clustering, nearest_centres

    index = dataset.arrow_table("index")
    captions = [own or [""] for own in caption_texts(index.column("captions"))]
    train = np.array([split == "train" for split in index.column("split").to_pylist()])
    classes = _classes(index, config.column)
    if train.sum() < config.clusters:
        raise ValueError(
            f"cluster: the train split has {train.sum()} pictures; clusters={config.clusters} must be fewer"
        )
    states = _states(_encoder(encoder, out.folder), captions, config, out)
    out.progress(0, 1, "finding clusters")
    best, stability = best_clustering(states[train], config.clusters, config.seeds)
    _check_distinct(best, config)
    labels, _ = nearest_centres(states, best.centres)
    table = {"uid": index.column("uid"), "cluster": [f"{label:02d}" for label in labels]}
    pq.write_table(pa.table(table, CLUSTERS), out.write(TABLE), compression="zstd")
    sizes = np.bincount(best.labels).tolist()
    words = _words([own for own, is_train in zip(captions, train, strict=True) if is_train], best.labels)
    spread = float(((states[train] - states[train].mean(0)) ** 2).sum(1).mean())
    statistics: dict[str, Any] = {
        "clusters": config.clusters,
        "sizes": sizes,
        "words": words,
        "inertia": round(best.inertia, 6),
        "explained": round(1 - best.inertia / spread, 4),
        "stability_seeds": round(stability.seeds, 4),
        "stability_half": round(stability.half, 4),
        **_purities(best.labels, classes[train] if classes is not None else None),
    }
    _draw(states[train], best, words, statistics, out.write("clusters.png"))
    return Stats(Funnel(len(index), len(index)), statistics)


def _check_distinct(best: "Clusters", config: ClusterConfig) -> None:
    """ValueError: there are fewer different captions than clusters."""
    if len(best.centres) < config.clusters:
        raise ValueError(
            f"cluster: the encoder tells {len(best.centres)} captions of the train split apart; "
            f"clusters={config.clusters} must be at most that"
        )


def _classes(index: Any, column: str) -> "np.ndarray | None":
    """(N,) object: each picture's class as a text, None where it has none; None where no column is named.

    ValueError: there is no such column, or it holds no classes."""
    if not column:
        return None
    if column not in index.column_names:
        raise ValueError(
            f"cluster: the index of the dataset has no column {column!r}; it has "
            f"{', '.join(sorted(index.column_names))}; `shard.columns` brings columns of the sources along"
        )
    values = index.column(column)
    if pa.types.is_nested(values.type):
        raise ValueError(
            f"cluster: column {column!r} holds {values.type}; purity needs one class of each picture"
        )
    classes = [None if value is None else str(value) for value in values.to_pylist()]
    return np.array(classes, dtype=object)


def _encoder(model: Artifact, folder: Path) -> "TextEncoder":
    """The text encoder in a model's folder. ValueError: it has none of its own."""
    from sdmodel.config.text import TextConfig
    from sdmodel.text import build
    from sdmodel.text.encoder import saved_config

    for place in PLACES:
        settings = model.json(f"{place}config.json") if f"{place}config.json" in model.files else {}
        if settings.get("kind") == "text":
            laid = model.lay(place, folder / "encoder")
            return build.load(laid, saved_config(laid, settings["text"]["kind"]))
        # transformers' own, "clip_text_model", or a CLIP of the contrastive objective
        kind = str(settings.get("model_type", "")).partition("_")[0]
        if kind or f"{place}open_clip_config.json" in model.files:
            laid = model.lay(place, folder / "encoder")
            options: Any = {"kind": kind or "clip", "length": LENGTH}
            return build.load(laid, TextConfig(**options))
    raise ValueError(
        f"cluster: {model.short_name} has no text encoder of its own; name a model of "
        'objective "text" or "contrastive", or a text-to-image model that learned its text encoder'
    )


def _states(
    encoder: "TextEncoder", captions: Sequence[Sequence[str]], config: ClusterConfig, out: Output
) -> np.ndarray:
    """(N, D) float32: of each picture the mean of its captions' pooled states. Equal captions are read
    once."""
    import torch

    from sdmodel.device import resolve_device

    encoder.to(resolve_device(config.device)).eval()
    places: dict[str, int] = {}
    for each in captions:
        for caption in each:
            places.setdefault(caption, len(places))
    texts, cut = list(places), Truncation(0, 0)
    batches: list[np.ndarray] = []
    with torch.inference_mode():
        for at in range(0, len(texts), BATCH):
            out.progress(at, len(texts), "reading captions")
            out.check()
            cut += Truncation.of(encoder.count(texts[at : at + BATCH]), encoder.length)
            ids, mask = encoder.tokenize(texts[at : at + BATCH])
            longest = int(mask.sum(1).max())  # padding changes nothing but the time that it takes
            _, states = encoder(ids[:, :longest], mask[:, :longest])
            batches.append(states.float().cpu().numpy())
    if words := cut.message(encoder.length, "Take an encoder that reads more, or shorten the captions."):
        out.warn(words)
    pooled = np.concatenate(batches)  # (U, D)
    return np.stack([pooled[[places[caption] for caption in each]].mean(0) for each in captions])


def _purities(labels: np.ndarray, classes: "np.ndarray | None") -> dict[str, float | None]:
    """Over the rows that have a class."""
    from sdmodel.text.cluster import purity

    known = np.array([name is not None for name in classes], bool) if classes is not None else None
    if classes is None or known is None or not known.any():
        return {"purity": None, "purity_constant": None}
    named = classes[known].astype(str)
    purities = purity(labels[known], named), purity(np.zeros(len(named), int), named)
    return {"purity": round(purities[0], 4), "purity_constant": round(purities[1], 4)}


def _words(captions: Sequence[Sequence[str]], labels: np.ndarray) -> list[list[str]]:
    """Of each cluster the words that the largest part of its pictures have beyond that of all pictures."""
    from sdmodel.data.size_warnings import WORD

    words_of = [{word for caption in each for word in WORD.findall(caption.casefold())} for each in captions]
    everywhere = Counter(word for each in words_of for word in each)
    clusters: list[list[str]] = []
    for label in range(labels.max() + 1):
        mine = [words_of[row] for row in np.flatnonzero(labels == label)]
        here = Counter(word for each in mine for word in each)
        excess = {word: count / len(mine) - everywhere[word] / len(words_of) for word, count in here.items()}
        more = [word for word in excess if excess[word] > MORE]
        clusters.append(sorted(more, key=lambda word: (-excess[word], word))[:WORDS])
    return clusters


def _draw(
    states: np.ndarray, best: "Clusters", words: list[list[str]], statistics: dict[str, Any], path: Path
) -> None:
    """The pictures' places along the two directions in which they differ most, and the clusters' sizes."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    clusters = len(best.centres)
    some = np.linspace(0, len(states) - 1, min(len(states), POINTS)).astype(int)
    centred = states[some] - states.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    x, y = (centred @ directions[:2].T).T if len(directions) > 1 else (centred[:, 0], np.zeros(len(some)))
    colours = colormaps["turbo"](np.linspace(0.05, 0.95, clusters))
    figure = Figure(figsize=(12, max(4, 0.3 * clusters + 1)), layout="constrained")
    places, bars = figure.subplots(1, 2)
    places.scatter(x, y, s=12, c=colours[best.labels[some]], linewidths=0)
    places.set(title="captions, by principal components of the states", xticks=[], yticks=[])
    bars.barh(range(clusters), statistics["sizes"], color=colours)
    bars.set_yticks(
        range(clusters),
        [f"{n:02d} {escape(' '.join(each), 60)}" for n, each in enumerate(words)],
        parse_math=False,
    )
    bars.invert_yaxis()
    pure = f", purity {statistics['purity']:.2f}" if statistics["purity"] is not None else ""
    bars.set_title(
        f"pictures; Rand {statistics['stability_seeds']:.2f} of seeds, "
        f"{statistics['stability_half']:.2f} of halves{pure}"
    )
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None})
