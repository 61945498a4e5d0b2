import itertools
from dataclasses import replace

import numpy as np
import pytest

from stages.config import DedupConfig
from stages.dedup import copies, dedup, pairs
from stages.demo.world import COLOURS, Scene, render, scene
from stages.store import Store, open_store
from tests.stages.handmade import Picture, collection, resized, save

ONE = DedupConfig(workers=1)


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(str(tmp_path / "store"))


def look_alikes(base: Scene) -> list[Scene]:
    """Scenes that share everything with `base` but one thing."""
    x, y = base.centre
    other = next(c for c in COLOURS if c != base.attributes.colour)
    shape = "star" if base.attributes.shape != "star" else "circle"
    return [
        replace(base, centre=(x + 0.05, y)),
        replace(base, colour=COLOURS[other]),
        replace(base, attributes=replace(base.attributes, shape=shape)),
        replace(base, radius=base.radius * 1.2),
    ]


@pytest.fixture
def pictures():
    """Twelve scenes at 96 pixels: four copies of each of the first six, four look-alikes of the others."""
    rows = []
    for index in range(12):
        base = scene(3, index)
        pixels = render(base, 96)
        rows.append(Picture(f"{index}/original", save(pixels)))
        if index < 6:
            rows += [
                Picture(f"{index}/bytes", save(pixels)),
                Picture(f"{index}/pixels", save(pixels, compress_level=0)),
                Picture(f"{index}/jpeg", save(pixels, "jpeg", quality=60)),
                Picture(f"{index}/half", save(resized(pixels, 50), "webp", quality=70)),
            ]
        else:
            rows += [
                Picture(f"{index}/alike{n}", save(render(alike, 96), "jpeg", quality=90))
                for n, alike in enumerate(look_alikes(base))
            ]
    return rows


def test_copies_join_their_best_row_and_look_alikes_stay(store, pictures):
    result = dedup(collection(store, [pictures[:20], pictures[20:]]), ONE, store=store)
    table = result.table("duplicates").set_index("uid")
    assert len(table) == len(pictures)
    name = {p.uid: p.name for p in pictures}
    for p in pictures:
        row = table.loc[p.uid]
        number, kind = p.name.split("/")
        assert name[row.cluster].split("/")[0] == number
        if int(number) >= 6:
            assert (row.cluster, row.level, row.multiplicity, row.distance) == (p.uid, "", 1, 0)
            continue
        # kept: of three files with the same pixels the one with most bytes
        assert name[row.cluster] == f"{number}/pixels"
        assert row.multiplicity == 5
        expected = {"original": "exact", "bytes": "exact", "pixels": "", "jpeg": "near", "half": "near"}[kind]
        assert row.level == expected
        assert (0 < row.distance <= ONE.max_difference) == (expected == "near")
    assert result.funnel.rows_in == result.funnel.rows_out == len(pictures)
    assert result.statistics["exact"] == result.statistics["near"] == 12
    assert result.statistics["clusters_of_copies"] == 6


def test_a_larger_copy_is_kept(store):
    pixels = render(scene(3, 0), 80)
    rows = [Picture("small", save(pixels)), Picture("large", save(resized(pixels, 130), "jpeg", quality=80))]
    table = dedup(collection(store, [rows]), ONE, store=store).table("duplicates")
    assert set(table["cluster"]) == {rows[1].uid}


@pytest.mark.slow
def test_the_result_depends_neither_on_workers_nor_on_the_cut_into_parts(tmp_path, pictures):
    tables = []
    for workers, part_rows, tars in ((1, 2000, 1), (2, 7, 1), (1, 5, 3)):
        store = open_store(str(tmp_path / f"{workers}-{part_rows}-{tars}"))
        images = collection(store, [pictures[n::tars] for n in range(tars)])
        config = DedupConfig(workers=workers, part_rows=part_rows)
        tables.append(dedup(images, config, store=store).path("duplicates.parquet").read_bytes())
    assert len(set(tables)) == 1


def test_a_refresh_reads_only_new_tars_and_another_threshold_none(store, pictures):
    first = dedup(collection(store, [pictures[:20], pictures[20:40]]), ONE, store=store)
    assert first.statistics["parts"] == {"made": 2, "found": 0}
    grown = dedup(collection(store, [pictures[:20], pictures[20:40], pictures[40:]]), ONE, store=store)
    assert grown.statistics["parts"] == {"made": 1, "found": 2}
    stricter = dedup(
        collection(store, [pictures[:20], pictures[20:40]]), replace(ONE, max_difference=0.001), store=store
    )
    assert stricter.statistics["parts"] == {"made": 0, "found": 2}
    assert stricter.statistics["near"] < first.statistics["near"]
    assert stricter.statistics["exact"] == first.statistics["exact"]


def test_flat_pictures_are_compared_exactly_only(store):
    greys = [np.full((64, 64, 3), value, np.uint8) for value in (100, 101)]
    rows = [Picture(str(n), save(p)) for n, p in enumerate([*greys, greys[0]])]
    result = dedup(collection(store, [rows]), ONE, store=store)
    table = result.table("duplicates").set_index("uid")
    assert table.loc[rows[1].uid, "level"] == ""
    assert sorted([table.loc[rows[0].uid, "level"], table.loc[rows[2].uid, "level"]]) == ["", "exact"]
    assert result.statistics["flat"] == 2  # of the pictures that are left after exact comparison


def test_white_on_nothing_is_told_from_other_white_on_nothing(store):
    y, x = np.mgrid[:64, :64] - 32
    rows = []
    for name, inside in (("circle", np.hypot(x, y) < 20), ("square", np.maximum(abs(x), abs(y)) < 20)):
        pixels = np.full((64, 64, 4), 255, np.uint8)
        pixels[..., 3] = np.where(inside, 255, 0)
        rows.append(Picture(name, save(pixels)))
    table = dedup(collection(store, [rows]), ONE, store=store).table("duplicates")
    assert table["level"].tolist() == ["", ""]


def test_a_stretched_picture_is_no_copy(store):
    pixels = render(scene(3, 1), 96)
    wide = resized(pixels, 120, 96)
    table = dedup(
        collection(store, [[Picture("a", save(pixels)), Picture("b", save(wide))]]), ONE, store=store
    ).table("duplicates")
    assert table["level"].tolist() == ["", ""]


def test_an_empty_collection_gives_an_empty_table(store):
    result = dedup(collection(store, []), ONE, store=store)
    assert len(result.table("duplicates")) == 0


def test_config_out_of_range_is_refused(store):
    images = collection(store, [])
    for config in (DedupConfig(max_bits=4), DedupConfig(max_difference=-0.1)):
        with pytest.raises(ValueError, match=r"dedup\.max_"):
            dedup(images, config, store=store)


def test_many_pictures_with_one_hash_do_not_fill_memory(monkeypatch, store):
    monkeypatch.setattr(pairs, "CHUNK", 5)
    monkeypatch.setattr(copies, "BATCH", 2)
    pixels = render(scene(3, 2), 64)
    rows = [Picture(str(q), save(pixels, "jpeg", quality=q)) for q in range(60, 72)]
    table = dedup(collection(store, [rows]), ONE, store=store).table("duplicates")
    assert set(table["multiplicity"]) == {12}
    assert all(a == b for a, b in itertools.pairwise(table["cluster"]))
