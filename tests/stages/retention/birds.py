"""A run's artifacts made by hand, a few bytes each, with the kinds and lineage that the line's have."""

from dataclasses import dataclass

from stages.artifacts.artifact import Artifact, Funnel
from stages.artifacts.reference import refer
from stages.output import Output, PartResult
from stages.stage import Stats, stage
from stages.store import Store

NAME = "birds"
CARRIED = 3
"""Tars of earlier editions that an edition has besides its own."""


@dataclass(frozen=True, kw_only=True)
class Seed:
    seed: int = 0


@stage(version=1, kind="images", name="collect")
def collect(previous: Artifact | None, config: Seed, out: Output) -> Stats:
    tars = {name: previous.entry(name) for name in previous.names("tars/")} if previous else {}
    out.add(dict(list(tars.items())[-CARRIED:]))
    out.write(f"tars/{config.seed:04d}.tar").write_bytes(b"tar %d" % config.seed)
    out.write("images.parquet").write_bytes(b"rows %d" % config.seed)
    return Stats(Funnel(1, 1))


@stage(version=1, kind="duplicates", name="dedup")
def dedup(images: Artifact, config: Seed, out: Output) -> Stats:
    for name in images.names("tars/"):

        def make(folder, name=name):
            (folder / f"{name[5:-4]}.index").write_bytes(b"index of " + images.read(name))
            return PartResult()

        out.add(out.part(name, [images.entry(name).sha256], make))
    out.write("duplicates.parquet").write_bytes(b"clusters of " + images.read("images.parquet"))
    return Stats(Funnel(1, 1))


@stage(version=1, kind="selection", name="filter")
def select(images: Artifact, duplicates: Artifact, config: Seed, out: Output) -> Stats:
    out.write("selection.parquet").write_bytes(b"%d of " % config.seed + images.read("images.parquet"))
    return Stats(Funnel(1, 1))


@stage(version=1, kind="dataset", name="shard")
def shard(images: Artifact, selection: Artifact, config: Seed, out: Output) -> Stats:
    out.write("shards/0.tar").write_bytes(b"pictures of " + selection.read("selection.parquet"))
    return Stats(Funnel(1, 1))


@stage(version=1, kind="latents", name="encode")
def encode(dataset: Artifact, autoencoder: Artifact | None, config: Seed, out: Output) -> Stats:
    out.write("moments.npy").write_bytes(b"moments of " + dataset.read("shards/0.tar"))
    return Stats(Funnel(1, 1))


@stage(version=1, kind="model", name="train")
def train(
    dataset: Artifact, start: Artifact | None, latents: Artifact | None, config: Seed, out: Output
) -> Stats:
    out.write("model/weights").write_text(f"weights {config.seed} of {dataset.digest}")
    return Stats(Funnel(1, 1))


@stage(version=1, kind="evaluation", name="evaluate")
def evaluate(model: Artifact, dataset: Artifact, config: Seed, out: Output) -> Stats:
    out.write("report.md").write_text(f"measured on {dataset.digest}")
    return Stats(Funnel(1, 1))


def images_of(store: Store, seed: int, previous: Artifact | None, name: str = NAME) -> Artifact:
    """An edition, filed."""
    images = collect(previous, Seed(seed=seed), store=store)
    refer(store, f"images/{name}", images)
    return images


def dataset_of(store: Store, images: Artifact, seed: int = 0, name: str = NAME) -> Artifact:
    """A version made of an edition, filed."""
    duplicates = dedup(images, Seed(), store=store)
    selection = select(images, duplicates, Seed(seed=seed), store=store)
    dataset = shard(images, selection, Seed(), store=store)
    refer(store, f"datasets/{name}", dataset)
    return dataset


def model_of(
    store: Store,
    dataset: Artifact,
    start: Artifact | None = None,
    latents: Artifact | None = None,
    name: str = NAME,
) -> Artifact:
    """A model that learned from a version, filed."""
    model = train(dataset, start, latents, Seed(), store=store)
    refer(store, f"models/{name}", model)
    return model


def refreshed(store: Store, count: int, name: str = NAME) -> list[Artifact]:
    """So many editions, each with its version: the datasets."""
    previous: Artifact | None = None
    datasets: list[Artifact] = []
    for seed in range(1, count + 1):
        previous = images_of(store, seed, previous, name)
        datasets.append(dataset_of(store, previous, name=name))
    return datasets
