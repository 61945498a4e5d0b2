"""Latents go with their picture: an autoencoder would give it back."""

from pathlib import Path

import numpy as np
import pytest

from sdmodel.data.index import read_index
from sdmodel.latents.cache import LatentCache, features_file
from stages.artifacts.artifact import Artifact, Funnel
from stages.config.encode import EncodeConfig
from stages.encode import encode
from stages.errors import Stopped
from stages.output import Output
from stages.pretrained.files import autoencoder_input
from stages.reporter import Silent
from stages.stage import Stats, stage
from stages.store import Store, open_store
from stages.takedown.holders import holders
from stages.takedown.purge import purge
from stages.takedown.records import Name, Takedown, forget
from tests import frozen
from tests.stages import worlds


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def dataset(store: Store, tmp_path: Path) -> Artifact:
    return worlds.dataset(store, tmp_path / "pictures", rows=12, validation=0.3, test=0.0)


@pytest.fixture
def config(tmp_path: Path) -> EncodeConfig:
    return EncodeConfig(autoencoder=str(frozen.autoencoder(tmp_path / "vae")), size=16, device="cpu")


def taken_down(store: Store, dataset: Artifact) -> tuple[str, Takedown]:
    """The uid of a picture to train on, and its take-down."""
    index = dataset.table("index")
    uid = str(index[index["split"] == "train"]["uid"].iloc[2])
    return uid, forget(store, [Name("uid", uid)], "asked")


def all_moments(latents: Artifact) -> dict[str, np.ndarray]:
    """uid -> (2, 2 C, h, w)."""
    rows = latents.table("latents").to_dict("records")
    return {row["uid"]: np.load(latents.path(row["file"]))[row["row"]] for row in rows}


def test_its_moments_become_zero_and_nothing_else_changes(
    store: Store, dataset: Artifact, config: EncodeConfig, tmp_path: Path
):
    before = encode(dataset, autoencoder_input(store, config.autoencoder), None, (), config, store=store)
    moments = all_moments(before)
    uid, takedown = taken_down(store, dataset)

    listed = {holder.artifact.kind: holder for holder in holders(store, set(takedown.sha256s))}
    assert (listed["latents"].rows, listed["latents"].purged) == (1, ())
    assert purge(store, takedown, dry_run=True).bytes >= moments[uid].nbytes
    purge(store, takedown)

    after = Artifact.open(store, "encode", before.fingerprint)
    assert (after.digest, after.verify()) == (before.digest, [])
    for name, expected in moments.items():
        assert np.array_equal(all_moments(after)[name], expected if name != uid else np.zeros_like(expected))
    everything = b"".join(store.read(entry.key) for entry in store.list("files"))
    assert moments[uid].tobytes() not in everything
    assert {holder.purged for holder in holders(store, set(takedown.sha256s))} == {(1,)}
    assert purge(store, takedown).files == 0

    dataset = Artifact.open(store, "shard", dataset.fingerprint)
    tars = {name: dataset.path(name) for name in dataset.names("shards/")}
    index = read_index(dataset.path("index.parquet"), tars, "train")
    cache = LatentCache(after.lay("", tmp_path / "latents"), index)
    with pytest.raises(ValueError, match="was purged after a take-down"):
        cache.moments(np.array([index.uids.index(uid)]), np.array([False]))


def test_an_encoding_that_never_ended_keeps_none(store: Store, dataset: Artifact, config: EncodeConfig):
    """Its parts don't say whose latents they hold, and no artifact does: all of them go."""

    class Ending(Silent):
        def stopping(self) -> bool:
            return any(store.list("parts/encode"))

    with pytest.raises(Stopped):
        encode(
            dataset,
            autoencoder_input(store, config.autoencoder),
            None,
            (),
            config,
            store=store,
            reporter=Ending(),
        )
    assert list(store.list("files/encode"))
    _, takedown = taken_down(store, dataset)
    assert purge(store, takedown).parts >= 1
    assert not list(store.list("parts/encode"))
    assert not list(store.list("files/encode"))


@pytest.mark.parametrize("latents", [False, True], ids=["pixels", "latents"])
def test_its_feature_maps_become_zero_and_nothing_else_changes(
    store: Store, dataset: Artifact, config: EncodeConfig, tmp_path: Path, latents: bool
):
    @stage(version=1, kind="model", name="train")
    def trained(config: EncodeConfig, out: Output) -> Stats:
        frozen.image_encoder(out.write("model/any").parent)
        return Stats(Funnel(0, 0))

    encoder = trained(config, store=store)
    autoencoder = autoencoder_input(store, config.autoencoder) if latents else None
    cached = encode(dataset, autoencoder, None, (encoder,), config, store=store)

    def features() -> dict[str, np.ndarray]:
        rows = cached.table("latents").to_dict("records")
        paths = {row["uid"]: cached.path(features_file(row["file"])) for row in rows}
        return {row["uid"]: np.load(paths[row["uid"]])[row["row"]] for row in rows}

    before = features()
    uid, takedown = taken_down(store, dataset)
    purge(store, takedown)
    cached = Artifact.open(store, "encode", cached.fingerprint)
    for name, expected in before.items():
        assert np.array_equal(features()[name], expected if name != uid else np.zeros_like(expected))
    everything = b"".join(store.read(entry.key) for entry in store.list("files"))
    assert before[uid].tobytes() not in everything
