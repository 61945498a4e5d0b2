"""A cache that is written and read back: moments of the right picture, plain or mirrored, and its states."""

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray

from sdmodel.config.learning import DataConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.index import Index
from sdmodel.data.pixels import to_float
from sdmodel.data.reader import Augmentations, Examples
from sdmodel.latents import autoencoder, text
from sdmodel.latents.autoencoder import FrozenAutoencoder
from sdmodel.latents.cache import LatentCache, read_empty
from sdmodel.latents.reader import CachedTextReader, LatentReader, cached_reader
from sdmodel.latents.text import FrozenTextEncoder
from sdmodel.latents.write import MomentSums, moment_places, space_of, write_moments, write_text
from tests import frozen

SHAPES = [(16, 16), (16, 32)]
BUCKETS = [0, 1, 0, 0, 1]
CAPTIONS = [["cat", "tom"], ["dog"], [], ["a b"], ["cow"]]
CONFIG = TrainConfig(size=16)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> FrozenAutoencoder:
    return autoencoder.load_autoencoder(frozen.autoencoder(tmp_path_factory.mktemp("vae")))


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> FrozenTextEncoder:
    return text.load_text_encoder(frozen.text_encoder(tmp_path_factory.mktemp("text")))


def pixels(row: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(row).integers(0, 256, (*shape, 3), np.uint8)


def index(captions: list[list[str]] = CAPTIONS) -> Index:
    rows = len(captions)
    zeros = np.zeros(rows, np.int64)
    return Index([f"uid{row}" for row in range(rows)], [Path("a.tar")] * rows, zeros, zeros, zeros, captions)


def augmentations(captions: list[int], mirror: list[bool]) -> Augmentations:
    rows = len(captions)
    return Augmentations(
        captions=[""] * rows, caption=np.array(captions), mirror=np.array(mirror),
        crop=np.full((rows, 2), 0.5), colour=np.ones((rows, 3)), augmented=None,
    )  # fmt: skip


def write(
    folder: Path, encoder: FrozenAutoencoder | None, words: FrozenTextEncoder | None, dtype: type = np.float32
) -> Path:
    """A cache of the pictures and captions above."""
    held: dict[str, object] = {"size": 16, "shapes": [], "space": None}
    held |= {"pooled_width": 0, "token_width": 0, "text_length": 0}
    files: list[tuple[str, int]] = [("", 0)] * 5
    if encoder:
        shapes = [SHAPES[bucket] for bucket in BUCKETS]
        sums = write_moments(folder, "train-0", shapes, pixels, encoder, batch=2, dtype=dtype)
        files = moment_places("train-0", shapes)
        held |= {"shapes": SHAPES, "space": asdict(space_of(sums, encoder.factor))}
    if words:
        said = [caption for some in CAPTIONS for caption in some]
        write_text(folder, "train-0", said, words, batch=2, dtype=dtype)
        write_text(folder, "empty", [""], words, batch=2, dtype=dtype)
        held |= {"pooled_width": 8, "token_width": 8, "text_length": 4}
    counts = [len(some) for some in CAPTIONS]
    columns = {
        "uid": [f"uid{row}" for row in range(5)],
        "bucket": BUCKETS if encoder else [0] * 5,
        "file": [file for file, _ in files],
        "row": [row for _, row in files],
        "text": ["train-0" if words else ""] * 5,
        "caption": np.cumsum([0, *counts[:-1]]).tolist(),
    }
    pq.write_table(pa.table(columns), folder / "latents.parquet")
    (folder / "latents.json").write_text(json.dumps(held))
    return folder


class Plain:
    """A reader of pixels."""

    def __init__(self) -> None:
        self.index = index()
        self.shapes = [(16, 16)]
        self.buckets = np.zeros(5, np.int64)

    def read(self, rows: np.ndarray, augmentations: Augmentations, bucket: int) -> Examples:
        return Examples(images=torch.from_numpy(rows).float()[:, None, None, None].expand(-1, 3, 16, 16))


def encoded(encoder: FrozenAutoencoder, row: int, shape: tuple[int, int], mirror: bool) -> torch.Tensor:
    own = to_float(pixels(row, shape).transpose(2, 0, 1)[None])
    return encoder.moments(own.flip(-1) if mirror else own)[0]


def test_moments_come_back_plain_and_mirrored(tmp_path: Path, encoder: FrozenAutoencoder):
    reader = LatentReader(index(), LatentCache(write(tmp_path, encoder, None), index()))
    assert reader.shapes == SHAPES
    assert reader.buckets.tolist() == BUCKETS
    for bucket, rows in ((0, [3, 0, 2, 3]), (1, [4, 1])):
        mirror = [row % 2 == 0 for row in rows]
        found = reader.read(np.array(rows), augmentations([0] * len(rows), mirror), bucket)
        for row, flipped, moments in zip(rows, mirror, found.images, strict=True):
            # Convolutions of batches of other sizes may differ in the last bits.
            expected = encoded(encoder, row, SHAPES[bucket], flipped)
            assert torch.allclose(moments, expected, atol=1e-5)
    plain, mirrored = (encoded(encoder, 0, SHAPES[0], flip) for flip in (False, True))
    assert not torch.allclose(plain.flip(-1), mirrored, atol=1e-2)  # why both are kept


def test_half_precision_is_as_near_as_it_says(tmp_path: Path, encoder: FrozenAutoencoder):
    whole, half = (
        LatentCache(write(tmp_path / kind.__name__, encoder, None, kind), index()).moments(
            np.array([0, 2, 3]), np.array([False] * 3)
        )
        for kind in (np.float32, np.float16)
    )
    mean, log_variance = (whole - half).abs().chunk(2, dim=1)
    assert half.dtype == torch.float32
    assert (mean <= 2**-11 * whole.chunk(2, dim=1)[0].abs() + 2**-24).all()
    assert log_variance.max() <= 2**-7


def test_the_space_makes_samples_standard_normal(tmp_path: Path, encoder: FrozenAutoencoder):
    cache = LatentCache(write(tmp_path, encoder, None), index())
    space = cache.settings.space
    assert space is not None
    random = torch.Generator().manual_seed(0)
    drawn: list[torch.Tensor] = []
    for rows in ([0, 2, 3], [1, 4]):
        for flip in (False, True):
            moments = cache.moments(np.array(rows), np.full(len(rows), flip))
            many = moments.repeat(30, 1, 1, 1)
            noise = torch.randn(len(many), space.channels, *many.shape[2:], generator=random)
            drawn.append(space.normalised(many, noise).transpose(0, 1).flatten(1))  # (C, values)
    values = torch.cat(drawn, dim=1)
    assert values.mean(1).abs().max() < 0.02
    assert (values.std(1) - 1).abs().max() < 0.02


def test_sums_of_parts_add_up():
    one, other = MomentSums(2, (1.0, 2.0), (3.0, 5.0)), MomentSums(3, (4.0, 3.0), (9.0, 4.0))
    space = space_of(one + other, 8)
    assert (space.channels, space.factor, space.mean) == (2, 8, (1.0, 1.0))
    assert space.deviation == pytest.approx(((12 / 5 - 1) ** 0.5, (9 / 5 - 1) ** 0.5))


def test_text_is_that_of_the_caption_that_was_chosen(tmp_path: Path, words: FrozenTextEncoder):
    folder = write(tmp_path, None, words)
    reader = cached_reader(folder, index(), CONFIG, Plain)
    assert isinstance(reader, CachedTextReader)
    found = reader.read(np.array([0, 0, 2, 4, 1]), augmentations([1, 0, -1, 0, 0], [False] * 5), 0)
    expected = words.encode_captions(["tom", "cat", "", "cow", "dog"])
    assert found.text is not None
    assert torch.allclose(found.text.states, expected.states, atol=1e-6)
    assert torch.allclose(found.text.pooled, expected.pooled, atol=1e-6)
    assert found.images[:, 0, 0, 0].tolist() == [0, 0, 2, 4, 1]
    assert (reader.shapes, reader.index.uids) == ([(16, 16)], index().uids)
    half = LatentCache(write(tmp_path / "half", None, words, np.float16), index())
    narrow = half.text(np.array([0, 0, 2, 4, 1]), np.array([1, 0, -1, 0, 0]))
    assert narrow.states.dtype == narrow.pooled.dtype == torch.float16  # until it is where it is needed
    there = narrow.to(torch.device("cpu"))
    assert there.states.dtype == there.pooled.dtype == torch.float32
    assert torch.allclose(there.states, expected.states, rtol=2**-11, atol=1e-6)
    assert read_empty(half.folder).states.dtype == torch.float32
    assert torch.allclose(read_empty(folder).states, words.encode_captions([""]).states, atol=1e-6)


def test_both_are_read_together(tmp_path: Path, encoder: FrozenAutoencoder, words: FrozenTextEncoder):
    config = TrainConfig(size=16, data=DataConfig(buckets=1))
    folder = write(tmp_path, encoder, words)
    held = json.loads((folder / "latents.json").read_text())
    (folder / "latents.json").write_text(json.dumps({**held, "shapes": [[16, 16]]}))
    reader = cached_reader(folder, index(), config, Plain)
    found = reader.read(np.array([0, 3]), augmentations([0, 0], [True, False]), 0)
    assert found.images.shape == (2, 6, 8, 8)
    assert found.text is not None
    assert found.text.states.shape == (2, 8, 8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 32}, "32 x 32; latents are cached for 16 x 16, 16 x 32"),
        ({"network": "dit", "data": DataConfig(buckets=3)}, "train.data.buckets=3"),
    ],
)
def test_a_training_that_asks_for_other_pictures_is_refused(
    tmp_path: Path, encoder: FrozenAutoencoder, changes: dict[str, object], message: str
):
    folder = write(tmp_path, encoder, None)
    with pytest.raises(ValueError, match=message):
        cached_reader(folder, index(), dataclasses.replace(CONFIG, **changes), Plain)


def test_a_training_that_varies_pictures_is_refused(tmp_path: Path, encoder: FrozenAutoencoder):
    folder = write(tmp_path, encoder, None)
    held = json.loads((folder / "latents.json").read_text())
    (folder / "latents.json").write_text(json.dumps({**held, "shapes": [[16, 16]]}))
    assert isinstance(cached_reader(folder, index(), CONFIG, Plain), LatentReader)
    for data in (DataConfig(crop=True), DataConfig(colour=0.1), DataConfig(augment=0.1)):
        with pytest.raises(ValueError, match="needs pixels"):
            cached_reader(folder, index(), dataclasses.replace(CONFIG, data=data), Plain)


def test_another_dataset_and_purged_pictures_are_named(tmp_path: Path, encoder: FrozenAutoencoder):
    folder = write(tmp_path, encoder, None)
    with pytest.raises(ValueError, match=r"1 of the dataset's 6 pictures .*uid5"):
        LatentCache(folder, index([*CAPTIONS, ["new"]]))
    with pytest.raises(ValueError, match=r"no latents\.json"):
        LatentCache(tmp_path / "nowhere", index())
    file = folder / "moments/train-0-16x16.npy"
    held = np.load(file)
    held[1] = 0
    np.save(file, held)
    cache = LatentCache(folder, index())
    cache.moments(np.array([0, 3]), np.array([False, True]))
    with pytest.raises(ValueError, match=r"row 2 .* purged"):
        cache.moments(np.array([0, 2]), np.array([False, True]))
    table = pq.read_table(folder / "latents.parquet").to_pandas()
    for name in ("../moments/a.npy", "/etc/passwd"):
        pq.write_table(pa.Table.from_pandas(table.assign(file=name)), folder / "latents.parquet")
        with pytest.raises(ValueError, match="outside of the cache"):
            LatentCache(folder, index()).moments(np.array([0]), np.array([False]))


def test_latents_that_half_precision_cannot_hold_are_refused(tmp_path: Path, encoder: FrozenAutoencoder):
    class Wild(FrozenAutoencoder):
        def moments(self, pixels: torch.Tensor) -> torch.Tensor:
            return super().moments(pixels) * 1e6

    with pytest.raises(ValueError, match=r"not finite as float16.*encode\.precision to fp32"):
        write(tmp_path, Wild(encoder.vae), None, np.float16)
