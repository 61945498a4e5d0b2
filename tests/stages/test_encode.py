"""The stage encode: what it caches is what the encoders say of each picture; nothing is encoded twice."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdmodel.config.learning import DataConfig
from sdmodel.config.representation import AlignmentConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.index import Index, read_index
from sdmodel.data.pixels import decode, to_float
from sdmodel.latents import autoencoder, text
from sdmodel.latents.cache import LatentCache
from sdmodel.selfsupervised.encoder import load
from sdmodel.selfsupervised.teacher import FrozenTeacher
from stages.artifacts.artifact import Artifact, Funnel
from stages.artifacts.reference import refer
from stages.config.encode import EncodeConfig
from stages.config.run import Run
from stages.encode import REMEDY, encode
from stages.errors import Stopped
from stages.output import Output
from stages.pretrained.files import autoencoder_input, text_input
from stages.pretrained.image_encoder import image_encoder_input
from stages.stage import Stats, stage
from stages.store import Store, open_store
from stages.train.train import train
from tests import frozen
from tests.stages import worlds

REPA = AlignmentConfig(kind="repa")


@pytest.fixture(scope="module")
def image_encoder_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an image encoder that has learned nothing."""
    return frozen.image_encoder(tmp_path_factory.mktemp("image-encoder"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with encoders, and a store with a dataset."""
    folder = tmp_path_factory.mktemp("encode")
    frozen.autoencoder(folder / "pipeline/vae")
    frozen.text_encoder(folder / "pipeline")
    return folder


@pytest.fixture(scope="module")
def store(home: Path) -> Store:
    return open_store(str(home / "store"))


@pytest.fixture(scope="module")
def dataset(store: Store, home: Path) -> Artifact:
    return worlds.dataset(store, home / "pictures", rows=40)


@pytest.fixture
def config(home: Path) -> EncodeConfig:
    pipeline = str(home / "pipeline")
    return EncodeConfig(autoencoder=pipeline, text=pipeline, size=16, length=6, device="cpu")


def made(dataset: Artifact, config: EncodeConfig, store: Store, **more: Any) -> Artifact:
    inputs = autoencoder_input(store, config.autoencoder), text_input(config.text)
    encoder = image_encoder_input(store, "encode.encoder", config.encoder)
    return encode(dataset, *inputs, (encoder,) if encoder else (), config, store=store, **more)


def opened(
    dataset: Artifact, latents: Artifact, folder: Path, split: str = "train"
) -> tuple[Index, LatentCache]:
    tars = {name: dataset.path(name) for name in dataset.names("shards/")}
    index = read_index(dataset.path("index.parquet"), tars, split)
    folder.mkdir(exist_ok=True)
    return index, LatentCache(latents.lay("", folder / split), index)


def test_every_row_has_the_moments_of_its_picture_and_the_states_of_its_captions(
    store: Store, dataset: Artifact, config: EncodeConfig, home: Path, tmp_path: Path
):
    config = dataclasses.replace(config, size=64, buckets=3)
    latents = made(dataset, config, store)
    encoder, words = (
        autoencoder.load_autoencoder(home / "pipeline/vae"),
        text.load_text_encoder(home / "pipeline", 6),
    )
    shapes = latents.statistics["shapes"]
    assert len(shapes) == 3
    for split in ("train", "validation"):
        index, cache = opened(dataset, latents, tmp_path / split, split)
        for row in range(len(index)):
            shape = tuple(shapes[cache.buckets[row]])
            assert index.sizes is not None
            aspects = [abs(np.log(h / w) - np.log(np.divide(*index.sizes[row]))) for h, w in shapes]
            assert cache.buckets[row] == np.argmin(aspects)
            pixels = to_float(decode(index.bytes_of(row), shape).transpose(2, 0, 1)[None].copy())
            for mirror in (False, True):
                found = cache.moments(np.array([row]), np.array([mirror]))
                expected = encoder.moments(pixels.flip(-1) if mirror else pixels)
                assert torch.allclose(found, expected, atol=1e-5)
            for number, caption in enumerate(index.captions[row]):
                states = cache.text(np.array([row]), np.array([number])).states
                assert torch.allclose(states, words.encode_captions([caption]).states, atol=1e-5)
    rows = int(dataset.table("index")["split"].isin(["train", "validation"]).sum())
    assert latents.funnel == Funnel(rows, rows)
    assert (latents.statistics["pooled_width"], latents.statistics["token_width"]) == (8, 8)
    assert latents.verify() == []
    # More tokens than are read of them, and that is said.
    index = dataset.table("index")
    captions = [
        one["text"]
        for own in index.loc[index["split"].isin(["train", "validation"]), "captions"]
        for one in own
    ]
    longest = max(words.count(captions))
    assert latents.statistics["warnings"] == [
        f"100.0% of {len(captions)} captions have more than the 6 tokens that are read of one, and are cut; "
        f"the longest has {longest}. {REMEDY}"
    ]
    # The encoders travel with what they made.
    assert latents.read("autoencoder/config.json") == (home / "pipeline/vae/config.json").read_bytes()
    folder = latents.lay("", tmp_path / "whole")
    assert torch.equal(
        text.load_text_encoder(folder, 6).encode_captions(["cat"]).states,
        words.encode_captions(["cat"]).states,
    )


def test_the_space_is_that_of_the_train_split(
    store: Store, dataset: Artifact, config: EncodeConfig, tmp_path: Path
):
    latents = made(dataset, dataclasses.replace(config, text=""), store)
    index, cache = opened(dataset, latents, tmp_path)
    rows = np.arange(len(index))
    both = torch.cat([cache.moments(rows, np.full(len(index), mirror)) for mirror in (False, True)])
    mean, log_variance = both.double().transpose(0, 1).flatten(1).chunk(2)  # (C, values)
    space = cache.settings.space
    assert space is not None
    assert (space.channels, space.factor) == (3, 2)
    assert space.mean == pytest.approx(mean.mean(1).tolist(), abs=1e-6)
    variance = mean.var(1, correction=0) + log_variance.exp().mean(1)
    assert space.deviation == pytest.approx(variance.sqrt().tolist(), abs=1e-6)
    assert latents.json("latents.json")["space"]["factor"] == 2
    assert not latents.names("states/")
    assert not latents.names("text_encoder/")


def test_other_weights_are_another_request_and_what_did_not_change_is_kept(
    store: Store, dataset: Artifact, config: EncodeConfig, home: Path
):
    first = made(dataset, config, store)
    parts = first.statistics["parts"]["made"] + first.statistics["parts"]["found"]
    assert made(dataset, config, store).cached
    assert made(dataset, dataclasses.replace(config, batch=3), store).cached
    tars = sum(name.startswith(("shards/train", "shards/valid")) for name in dataset.names("shards/"))
    assert parts == 2 * tars + 1  # moments and text of each, and the empty caption

    # Other weights at the same place, and in time; the text is not read again.
    frozen.autoencoder(home / "pipeline/vae", seed=1)
    try:
        other = made(dataset, config, store)
    finally:
        frozen.autoencoder(home / "pipeline/vae")
    assert (other.cached, other.statistics["parts"]) == (False, {"made": tars, "found": tars + 1})
    assert other.digest != first.digest
    assert made(dataset, config, store).fingerprint == first.fingerprint

    # Another length: the pictures are not read again.
    shorter = made(dataset, dataclasses.replace(config, length=5), store)
    assert shorter.statistics["parts"] == {"made": tars + 1, "found": tars}


def test_a_stopped_encoding_goes_on(store: Store, dataset: Artifact, config: EncodeConfig):
    class Stops:
        done = 0

        def progress(self, stage: str, done: int, total: int, note: str) -> None:
            self.done = done

        def stopping(self) -> bool:
            return self.done >= 1

        def warn(self, stage: str, words: str) -> None: ...

    config = dataclasses.replace(config, size=8, text="", precision="fp16")
    with pytest.raises(Stopped):
        made(dataset, config, store, reporter=Stops())
    parts = made(dataset, config, store).statistics["parts"]
    assert parts["found"] == 1
    assert parts["made"] >= 1


def test_one_of_our_models_encodes(
    store: Store, dataset: Artifact, config: EncodeConfig, home: Path, tmp_path: Path
):
    @stage(version=1, kind="model", name="train")
    def trained(config: EncodeConfig, out: Output) -> Stats:
        frozen.autoencoder(out.write("model/any").parent, seed=2)
        return Stats(Funnel(0, 0))

    refer(store, "models/vae", trained(config, store=store))
    ours = dataclasses.replace(config, autoencoder="models/vae@latest", text="")
    theirs = dataclasses.replace(ours, autoencoder=str(frozen.autoencoder(tmp_path / "vae", seed=2)))
    found = made(dataset, ours, store)
    assert found.input("autoencoder") is not None
    assert found.digest == made(dataset, theirs, store).digest

    refer(store, "models/other", worlds.model(store, dataset))
    with pytest.raises(ValueError, match="'models/other' is no autoencoder"):
        autoencoder_input(store, "models/other")
    with pytest.raises(ValueError, match=r"encode\.autoencoder='models/none' is no folder here, and "):
        autoencoder_input(store, "models/none")


def test_mistakes_are_named(
    store: Store, dataset: Artifact, config: EncodeConfig, home: Path, tmp_path: Path
):
    with pytest.raises(ValueError, match="nothing to encode"):
        encode(dataset, None, None, (), EncodeConfig(), store=store)
    with pytest.raises(ValueError, match="multiples of 2"):
        made(dataset, dataclasses.replace(config, size=15), store)
    with pytest.raises(ValueError, match=r"encode\.length=9"):
        made(dataset, dataclasses.replace(config, length=9), store)
    with pytest.raises(ValueError, match="holds no AutoencoderKL"):
        autoencoder_input(store, str(tmp_path))
    with pytest.raises(ValueError, match="holds no CLIPText"):
        text_input(str(home / "pipeline/vae"))
    (home / "pipeline/vae").joinpath("README.md").write_text("not a part of it")
    assert made(dataset, config, store).statistics["size"] == 16


def test_a_training_gets_the_latents_of_its_own_dataset(
    store: Store, dataset: Artifact, config: EncodeConfig, tmp_path: Path
):
    latents = made(dataset, config, store)
    other = worlds.dataset(store, tmp_path / "pictures", rows=12, seed=9)
    with pytest.raises(ValueError, match="are of another dataset"):
        train(other, None, latents, (), None, (), worlds.TINY, store=store)


@given(st.integers(1, 64), st.integers(1, 64))
def test_a_run_encodes_what_it_trains_on(encoded: int, trained: int):
    encode, learn = EncodeConfig(size=encoded, autoencoder="vae"), TrainConfig(size=trained, network="unet2d")
    assert Run(name="a", train=learn, encode=dataclasses.replace(encode, autoencoder=""))
    if encoded == trained:
        assert Run(name="a", encode=encode, train=learn)
    else:
        with pytest.raises(ValueError, match=rf"encode\.size={encoded}, train\.size={trained}"):
            Run(name="a", encode=encode, train=learn)


def test_a_run_with_latents_does_not_vary_pictures():
    with pytest.raises(ValueError, match="latents are of the picture's centre"):
        Run(name="a", encode=EncodeConfig(autoencoder="v"), train=TrainConfig(data=DataConfig(crop=True)))


def test_the_plan_of_a_training_names_the_cache(
    store: Store, dataset: Artifact, config: EncodeConfig, monkeypatch: pytest.MonkeyPatch
):
    latents = made(dataset, config, store)
    plans: list[dict[str, Any]] = []

    def launched(plan: Path, *_: Any, **__: Any) -> bool:
        plans.append(json.loads(plan.read_text()))
        index = read_index(Path(plans[0]["index"]), plans[0]["tars"], "train")
        assert LatentCache(Path(plans[0]["latents"]), index).settings.size == 16
        raise RuntimeError("far enough")

    monkeypatch.setattr("sdmodel.train.process.launch.train", launched)
    with pytest.raises(RuntimeError, match="far enough"):
        train(dataset, None, latents, (), None, (), worlds.TINY, store=store)
    assert len(plans) == 1


@pytest.fixture(scope="module")
def seen(store: Store, dataset: Artifact, image_encoder_files: Path) -> str:
    """A reference to an image encoder of ours."""

    @stage(version=1, kind="model", name="train")
    def trained(config: EncodeConfig, out: Output) -> Stats:
        shutil.copytree(image_encoder_files, out.write("model/any").parent, dirs_exist_ok=True)
        return Stats(Funnel(0, 0))

    refer(store, "models/seer", trained(EncodeConfig(), store=store))
    return "models/seer@latest"


@pytest.mark.parametrize("latents", [False, True], ids=["pixels", "latents"])
def test_every_row_has_the_features_of_its_picture_as_it_stands_and_mirrored(
    store: Store,
    dataset: Artifact,
    config: EncodeConfig,
    seen: str,
    image_encoder_files: Path,
    tmp_path: Path,
    latents: bool,
):
    autoencoder = config.autoencoder if latents else ""
    config = dataclasses.replace(config, autoencoder=autoencoder, text="", encoder=seen, size=32, buckets=2)
    cached = made(dataset, config, store)
    assert cached.input("encoders.0") is not None
    shapes = cached.json("latents.json")["shapes"]
    teacher = FrozenTeacher(load(image_encoder_files), 32)
    index, cache = opened(dataset, cached, tmp_path)
    assert cache.settings.feature_width == teacher.width
    assert (cache.settings.space is not None) == latents
    for row in range(0, len(index), 5):
        shape = tuple(shapes[cache.buckets[row]])
        pixels = to_float(decode(index.bytes_of(row), shape).transpose(2, 0, 1)[None].copy())
        for mirror in (False, True):
            features = cache.features(np.array([row]), np.array([mirror]))
            assert features.dtype == torch.float16
            expected = teacher.maps(pixels.flip(-1) if mirror else pixels)
            torch.testing.assert_close(features.float(), expected, atol=1e-3, rtol=2e-3)
    assert made(dataset, config, store).cached


def test_another_encoder_is_another_request_and_the_moments_are_kept(
    store: Store, dataset: Artifact, config: EncodeConfig, seen: str
):
    plain = dataclasses.replace(config, text="")
    first = made(dataset, plain, store)
    both = made(dataset, dataclasses.replace(plain, encoder=seen), store)
    assert both.fingerprint != first.fingerprint
    assert both.statistics["parts"]["found"] == len(first.names("moments/"))
    moments = {name: both.files[name].sha256 for name in first.names("moments/")}
    assert moments == {name: first.files[name].sha256 for name in moments}


@pytest.mark.parametrize(
    ("encode", "train", "words"),
    [
        ({"encoder": "models/a"}, {}, "its features are read by an alignment alone"),
        ({}, {"alignment": REPA}, "name an image encoder"),
        ({"autoencoder": "v"}, {"alignment": REPA, "encoder": "models/a"}, "name it in encode.encoder"),
        ({"encoder": "models/a"}, {"alignment": REPA, "data": DataConfig(crop=True)}, "features are of the"),
        ({"encoder": "models/a", "size": 16}, {"alignment": REPA}, "what is encoded is what is trained on"),
        ({"encoder": "models/run"}, {"alignment": REPA}, "is what the run itself files"),
    ],
)
def test_an_alignment_that_could_not_be_is_refused(encode: Any, train: Any, words: str):
    with pytest.raises(ValueError, match=words):
        Run(name="run", encode=EncodeConfig(**encode), train=TrainConfig(**train))
    assert Run(name="run", encode=EncodeConfig(encoder="models/a"), train=TrainConfig(alignment=REPA))
