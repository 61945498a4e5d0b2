import dataclasses
import hashlib
import json
import tarfile
import zlib
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from sdmodel.data.index import KEY, VERSION, read_index
from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.config.run import FilterConfig, ShardConfig
from stages.demo.world import render, scene
from stages.fingerprint import fingerprint_of
from stages.image import decode_image, is_plain
from stages.output import Output
from stages.record import INDEX, SELECTION
from stages.shard import shard
from stages.shard.moments import channel_moments
from stages.stage import Stats, stage
from stages.store import Store, open_store
from tests.stages.handmade import Picture, collection, save

ONE = ShardConfig(validation=0.2, test=0.2, shard_rows=7, workers=1)


def transparent(pixels: np.ndarray) -> np.ndarray:
    height, width, _ = pixels.shape
    alpha = np.where(np.mgrid[:height, :width][1] < width // 2, 0, 255)[..., None]
    return np.concatenate([pixels, alpha.astype(np.uint8)], axis=2)


def mixture(rows: int) -> list[Picture]:
    pictures = []
    for n in range(rows):
        pixels = render(scene(1, n), 32 + n)
        kind = n % 4
        data = save(transparent(pixels)) if kind == 3 else save(pixels, ("jpeg", "png", "webp")[kind])
        pictures.append(Picture(f"{n}", data, (f"picture {n}", f"le numéro {n}")))
    return pictures


def select(store: Store, images: Artifact, pictures: list[Picture], clusters: dict[str, str] | None = None):
    @stage(version=1, kind="selection", name="filter")
    def selected(images: Artifact, chosen: Snapshot, config: FilterConfig, out: Output) -> Stats:
        rows = [
            {
                "uid": p.uid,
                "captions": [{"text": text, "source": "test", "weight": 1.0} for text in p.captions],
                "multiplicity": 2 if p.name == "1" else 1,
                "cluster": (clusters or {}).get(p.uid, p.uid),
                "similarity": None if p.name == "0" else 0.25,
            }
            for p in sorted(pictures, key=lambda p: p.uid)
        ]
        pq.write_table(pa.Table.from_pylist(rows, SELECTION), out.write("selection.parquet"))
        total, count = images.funnel.rows_out, len(rows)
        return Stats(Funnel(total, count, {"no_caption": total - count} if total > count else {}))

    chosen = Snapshot(fingerprint_of([[p.name for p in pictures], clusters or {}]))
    return selected(images, chosen, FilterConfig(), store=store)


def make(store: Store, pictures: list[Picture], config: ShardConfig = ONE, **more: object) -> Artifact:
    images = collection(store, [pictures[::2], pictures[1::2]])
    return shard(images, select(store, images, pictures, **more), config, store=store)


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return mixture(30)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, pictures) -> Artifact:
    return make(open_store(str(tmp_path_factory.mktemp("shared") / "store")), pictures)


def test_offsets_of_the_index_read_back_the_images(dataset, pictures):
    index = dataset.table("index")
    assert list(index.columns) == INDEX.names
    by_uid = {p.uid: p for p in pictures}
    assert sorted(index["uid"]) == sorted(by_uid)
    for row in index.itertuples():
        data = dataset.read(row.file, row.offset, row.length)
        original = by_uid[row.uid]
        assert is_plain(data)
        pixels = decode_image(data)
        assert pixels.shape == (row.height, row.width, 3)
        np.testing.assert_array_equal(pixels, decode_image(original.data))
        assert (data == original.data) == is_plain(original.data)  # kept as they came, or stored without loss
        assert zlib.crc32(data) == row.checksum
        assert [caption["text"] for caption in row.captions] == list(original.captions)
        assert row.multiplicity == (2 if original.name == "1" else 1)
        assert row.file.startswith(f"shards/{row.split}-")
    assert dataset.statistics["kept_as_they_came"] == sum(is_plain(p.data) for p in pictures)


def test_tarfile_and_webdataset_read_the_tars(dataset, pictures):
    by_uid = {p.uid: p for p in pictures}
    seen = []
    for name in dataset.names("shards/"):
        with tarfile.open(dataset.path(name)) as tar:
            members = tar.getmembers()
        assert {member.mtime for member in members} == {0}
        assert {(member.uid, member.gid, member.uname) for member in members} == {(0, 0, "")}
        samples = webdataset.WebDataset(str(dataset.path(name)), shardshuffle=False, empty_check=False)
        for sample in samples.decode("rgb8"):
            original = by_uid[sample["__key__"]]
            (extension,) = {"jpg", "png", "webp"} & set(sample)
            assert sample["txt"] == original.captions[0]
            assert sample["json"]["location"] == original.name
            assert sample["json"]["sha256"] == hashlib.sha256(original.data).hexdigest()
            assert sample["json"]["similarity"] == (None if original.name == "0" else 0.25)
            assert [c["text"] for c in sample["json"]["captions"]] == list(original.captions)
            if extension != "webp":  # the stock decoder has none for it and passes the bytes
                np.testing.assert_array_equal(sample[extension], decode_image(original.data))
            seen.append(sample["__key__"])
    assert sorted(seen) == sorted(by_uid)
    index = dataset.table("index")
    in_tar_order = index.sort_values("file", kind="stable")["uid"].tolist()
    assert in_tar_order == seen


@pytest.mark.slow
def test_the_same_bytes_with_any_number_of_workers_and_from_any_tars(tmp_path, dataset, pictures):
    for name, workers, stride in (("two", 2, 2), ("cut", 1, 5)):
        store = open_store(str(tmp_path / name))
        images = collection(store, [pictures[n::stride] for n in range(stride)])
        config = ShardConfig(validation=0.2, test=0.2, shard_rows=7, workers=workers)
        again = shard(images, select(store, images, pictures), config, store=store)
        assert again.digest == dataset.digest


def test_copies_lie_on_one_side(store, pictures):
    clusters = {p.uid: pictures[int(p.name) // 3 * 3].uid for p in pictures}  # three of a kind
    index = make(store, pictures, clusters=clusters).table("index")
    sides = index.groupby(index["uid"].map(clusters))["split"].nunique()
    assert len(sides) == 10
    assert set(sides) == {1}
    assert set(index["split"]) == {"train", "validation", "test"}


def test_growth_packs_only_tars_that_changed(store, pictures):
    images = collection(store, [pictures])
    first = shard(images, select(store, images, pictures[:-1]), ONE, store=store)
    grown = shard(images, select(store, images, pictures), ONE, store=store)
    assert grown.statistics["parts"]["found"] >= 2  # the other splits at least
    known = first.table("index").set_index("uid")["split"]
    assert (grown.table("index").set_index("uid")["split"].loc[known.index] == known).all()


def test_larger_images_are_scaled_down(store, pictures):
    config = ShardConfig(max_side=40, workers=1)
    dataset = make(store, pictures, config)
    index = dataset.table("index")
    for row in index.itertuples():
        assert decode_image(dataset.read(row.file, row.offset, row.length)).shape == (
            row.height,
            row.width,
            3,
        )
    assert index[["width", "height"]].max(axis=None) == 40
    by_uid = {p.uid: p for p in pictures}
    sides = {row.uid: row.width for row in index.itertuples()}
    assert all(side == min(40, 32 + int(by_uid[uid].name)) for uid, side in sides.items())
    originals = {uid: decode_image(picture.data).shape[:2] for uid, picture in by_uid.items()}
    assert {row.uid: (row.original_height, row.original_width) for row in index.itertuples()} == originals


def test_the_index_names_its_version_and_says_who_says_what(dataset, pictures):
    index = pq.read_table(dataset.path("index.parquet"))
    assert index.schema.equals(INDEX)
    assert index.schema.metadata[KEY].decode() == str(VERSION)
    by_uid = {p.uid: p for p in pictures}
    for row in index.to_pylist():
        said = [(one["text"], one["source"], one["weight"]) for one in row["captions"]]
        assert said == [(text, "test", 1.0) for text in by_uid[row["uid"]].captions]
        assert (row["labels"], row["sampling_weight"]) == ([], None)
    tars = {name: dataset.path(name) for name in dataset.names("shards/")}
    for split in ("train", "validation", "test"):
        read = read_index(dataset.path("index.parquet"), tars, split)
        assert [len(read.bytes_of(row)) for row in range(len(read))] == read.lengths.tolist()
        assert read.captions == [list(by_uid[uid].captions) for uid in read.uids]


def test_repeats_of_a_source_are_sampling_weights(store):
    data = render(scene(1, 1), 32)
    told = [
        '{"repeats": 10, "x": 1}',
        '{"repeats": "many"}',
        '{"x": "\\"repeats\\""}',
        '{"repeats": 2.5}',
        "{}",
    ]
    pictures = [Picture(f"{n}", save(data), columns=one) for n, one in enumerate(told)]
    index = make(store, pictures, ShardConfig(validation=0, test=0, workers=1)).table("index")
    by_uid = dict(zip(index["uid"], index["sampling_weight"], strict=True))
    assert [by_uid[picture.uid] for picture in pictures] == [10, 1, 1, 2.5, 1]


def test_moments_are_exact():
    chance = np.random.default_rng(0)
    for height, width in ((1, 1), (37, 51), (512, 512)):
        pixels = chance.integers(0, 256, (height, width, 3), dtype=np.uint8)
        mean, square = channel_moments(pixels)
        exact = [[Fraction(2 * int(v) - 255, 255) for v in pixels[..., c].ravel()[:5000]] for c in range(3)]
        if pixels.size <= 15_000:
            assert mean == pytest.approx([float(sum(x) / len(x)) for x in exact], abs=1e-15)
            assert square == pytest.approx([float(sum(v * v for v in x) / len(x)) for x in exact], abs=1e-15)
        scaled = pixels.reshape(-1, 3) / 127.5 - 1
        assert mean == pytest.approx(scaled.mean(axis=0), abs=1e-12)
        assert square == pytest.approx((scaled**2).mean(axis=0), abs=1e-12)


def test_columns_of_the_sources_go_along(store):
    """As another order than the tars' would show."""
    said = [{"kind": f"k{n}", "tags": [f"t{n}", "x"], "size": n} for n in range(9)]
    said += [{"kind": "", "tags": None}, {"tags": "alone"}, {"tags": []}]
    pixels = [np.full((8, 8, 3), 20 * n, np.uint8) for n in range(12)]
    pictures = [
        Picture(f"{n}", save(data), columns=json.dumps(one))
        for n, (data, one) in enumerate(zip(pixels, said, strict=True))
    ]
    config = dataclasses.replace(ONE, columns=("tags", "kind", "size"))
    dataset = make(store, pictures, config)
    index = pq.read_table(dataset.path("index.parquet"))
    text, texts = pa.string(), pa.list_(pa.string())
    beside = [pa.field("tags", texts), pa.field("kind", text), pa.field("size", text)]
    assert index.schema.equals(pa.schema([*INDEX, *beside]))
    rows = {row["uid"]: row for row in index.to_pylist()}
    found = [tuple(rows[p.uid][name] for name in ("kind", "tags", "size")) for p in pictures]
    assert found[:9] == [(f"k{n}", [f"t{n}", "x"], str(n)) for n in range(9)]
    assert found[9:] == [(None, None, None), (None, ["alone"], None), (None, [], None)]

    plain = make(store, pictures)
    assert pq.read_schema(plain.path("index.parquet")).equals(INDEX)
    assert plain.statistics["parts"]["made"] == 0  # the tars are the same
    for name, message in (
        ("kinds", r"no picture has \['kinds'\]; .*'kind', 'size', 'tags'"),
        ("split", "own"),
    ):
        with pytest.raises(ValueError, match=message):
            make(store, pictures, dataclasses.replace(ONE, columns=(name,)))


def test_transparency_is_laid_over_the_background(store):
    pixels = np.full((40, 40, 3), 50, np.uint8)
    dataset = make(
        store, [Picture("a", save(transparent(pixels)))], ShardConfig(background="#102030", workers=1)
    )
    row = dataset.table("index").iloc[0]
    found = decode_image(dataset.read(row.file, row.offset, row.length))
    assert found[0, 0].tolist() == [0x10, 0x20, 0x30]
    assert found[0, -1].tolist() == [50, 50, 50]


def white_art(side: int, level: int = 255) -> bytes:
    """A disc of one level on nothing."""
    y, x = np.mgrid[:40, :40] - 19.5
    pixels = np.full((40, 40, 4), level, np.uint8)
    pixels[..., 3] = np.where(np.hypot(x, y) < side, 255, 0)
    return save(pixels)


def test_what_is_blank_on_the_background_is_left_out_with_a_reason(store):
    art = [Picture(f"white {n}", white_art(5 + n), (f"white {n}",)) for n in range(4)]
    art += [Picture(f"black {n}", white_art(5 + n, 0), (f"black {n}",)) for n in range(4)]
    grey = np.full((40, 40, 3), 255, np.uint8)
    plain = Picture("plain", save(grey))  # a run that takes blank pictures in wants them
    pictures = [*art, plain, *mixture(6)]
    for background, lost in (("#ffffff", "white"), ("#000000", "black"), ("#808080", "none")):
        dataset = make(store, pictures, dataclasses.replace(ONE, background=background))
        gone = {p.uid: p.name for p in art if p.name.startswith(lost)}
        reasons = {"blank_on_background": len(gone)} if gone else {}
        assert dataset.funnel == Funnel(len(pictures), len(pictures) - len(gone), reasons)
        assert set(dataset.table("index")["uid"]) == {p.uid for p in pictures} - set(gone)
        rejects = dataset.table("rejects")
        assert dict(zip(rejects["uid"], rejects["location"], strict=True)) == gone
        assert set(rejects["reason"]) == set(reasons)
        assert set(rejects["rule"]) == ({f"background={background}"} if gone else set())
        assert sum(dataset.statistics["rows"].values()) == len(pictures) - len(gone)
        for name in dataset.names("shards/"):
            with tarfile.open(dataset.path(name)) as tar:
                assert not {member.split(".")[0] for member in tar.getnames()} & set(gone)


def test_blank_pictures_count_in_no_moment(store):
    lone = make(store, mixture(6), dataclasses.replace(ONE, validation=0, test=0))
    art = [Picture(f"white {n}", white_art(5 + n)) for n in range(4)]
    beside = make(store, [*mixture(6), *art], dataclasses.replace(ONE, validation=0, test=0))
    assert beside.json("statistics.json") == lone.json("statistics.json")


def test_a_dataset_of_nothing_but_blank_pictures_says_what_to_set(store):
    art = [Picture(f"{n}", white_art(5 + n)) for n in range(3)]
    with pytest.raises(
        ValueError, match=r"all of 3 pictures .* blank on the background #ffffff.*`background`"
    ):
        make(store, art, dataclasses.replace(ONE, validation=0, test=0))


def test_channel_statistics_are_those_of_the_train_split(dataset):
    index = dataset.table("index").query("split == 'train'")
    images = [
        decode_image(dataset.read(*row)).astype(np.float64) / 127.5 - 1
        for row in index[["file", "offset", "length"]].itertuples(index=False, name=None)
    ]
    mean = np.mean([image.mean((0, 1)) for image in images], axis=0)
    square = np.mean([(image**2).mean((0, 1)) for image in images], axis=0)
    found = dataset.json("statistics.json")
    assert np.allclose(found["channel_mean"], mean, atol=1e-5)
    assert np.allclose(found["channel_deviation"], np.sqrt(square - mean**2), atol=1e-5)


def test_a_dataset_of_few_images_can_be_trained_on(store, pictures):
    """Of few, all: a split whose share is less than one cluster stays empty, and that is said."""
    for rows, share, expected in (
        (1, 0.02, {"train"}),
        (3, 0.02, {"train"}),
        (3, 0.3, {"train"}),
        (3, 0.34, {"train", "validation", "test"}),
    ):
        config = ShardConfig(validation=share, test=share, workers=1)
        dataset = make(store, pictures[:rows], config)
        assert set(dataset.table("index")["split"]) == expected
        warnings = dataset.statistics.get("warnings", [])
        assert len(warnings) == 3 - len(expected)
        for split, words in zip(("validation", "test"), warnings, strict=False):
            assert f"the {split} split is empty: shard.{split}={share} of {rows} clusters" in words


def test_an_empty_selection_is_refused_with_its_funnel(store, pictures):
    images = collection(store, [pictures[:3]])
    with pytest.raises(
        ValueError, match=r"selection is empty: filter passed on 0 of 3 rows: 3 no_caption \(loosen"
    ):
        shard(images, select(store, images, []), ONE, store=store)


def test_the_json_member_is_canonical(dataset):
    with tarfile.open(dataset.path(dataset.names("shards/")[0])) as tar:
        member = next(m for m in tar.getmembers() if m.name.endswith(".json"))
        text = tar.extractfile(member).read().decode()
    assert text == json.dumps(json.loads(text), sort_keys=True)
