import itertools
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from stages.config.run import DedupConfig
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


def test_copies_of_white_art_are_found_on_the_runs_background(store):
    y, x = np.mgrid[:80, :80] - 39.5
    art = np.full((80, 80, 4), 255, np.uint8)
    art[..., 3] = np.where((np.hypot(x, y) < 30) & (abs(x) + y > 0), 255, 0)
    images = collection(store, [[Picture("a", save(art)), Picture("b", save(resized(art, 60)))]])
    found = {
        background: dedup(images, replace(ONE, background=background), store=store).statistics
        for background in ("#ffffff", "#000000")
    }
    assert (found["#ffffff"]["flat"], found["#ffffff"]["near"]) == (2, 0)
    assert (found["#000000"]["flat"], found["#000000"]["near"]) == (0, 1)


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


def test_many_pictures_with_one_hash_do_not_fill_memory(monkeypatch, store):
    monkeypatch.setattr(pairs, "CHUNK", 5)
    monkeypatch.setattr(copies, "BATCH", 2)
    pixels = render(scene(3, 2), 64)
    rows = [Picture(str(q), save(pixels, "jpeg", quality=q)) for q in range(60, 72)]
    table = dedup(collection(store, [rows]), ONE, store=store).table("duplicates")
    assert set(table["multiplicity"]) == {12}
    assert all(a == b for a, b in itertools.pairwise(table["cluster"]))


ORANGE, DARK, BLUE, GREEN = QUADRANTS = [(230, 120, 20), (20, 20, 20), (20, 60, 200), (120, 200, 60)]


def sprite(quadrants: Sequence[tuple[int, int, int]], mask: np.ndarray | None = None) -> np.ndarray:
    """A white picture of 68 x 56 with an object at (22, 28): 8 x 8, or as large as a mask."""
    pixels = np.full((56, 68, 3), 255, np.uint8)
    side = 8 if mask is None else len(mask)
    half = np.arange(side) * 2 // side
    colours = np.array(quadrants, np.uint8)[2 * half[:, None] + half]  # (S, S, 3)
    top = 28 if side == 8 else 20
    place = pixels[top : top + side, 22 : 22 + side]
    place[...] = colours if mask is None else np.where(mask[..., None], colours, 255)
    return pixels


def levels_of(store: Store, *pictures: bytes) -> list[str]:
    """What dedup says of each of some pictures, in their order: "" is a picture of its own."""
    rows = [Picture(str(number), data) for number, data in enumerate(pictures)]
    table = dedup(collection(store, [rows]), ONE, store=store).table("duplicates").set_index("uid")
    return [str(table.loc[row.uid, "level"]) for row in rows]


def test_small_objects_whose_colours_change_places_stay_two(store):
    assert levels_of(store, save(sprite(QUADRANTS)), save(sprite(QUADRANTS[::-1]))) == ["", ""]


DISC = np.hypot(*(np.mgrid[:24, :24] - 11.5)) < 11.5


@pytest.mark.parametrize(
    "recoloured",
    [
        [GREEN, BLUE, DARK, ORANGE],
        [BLUE, DARK, BLUE, GREEN],
        [(230, 120, 20), (20, 20, 20), (60, 20, 200), (160, 200, 60)],  # a hue a little turned
        [(200, 150, 60), (20, 20, 20), (20, 60, 200), (120, 200, 60)],  # one part of four
    ],
)
@pytest.mark.parametrize("mask", [None, DISC], ids=["square", "disc"])
def test_an_object_in_other_colours_is_another_picture(store, recoloured, mask):
    assert levels_of(store, save(sprite(QUADRANTS, mask)), save(sprite(recoloured, mask))) == ["", ""]


def test_another_outline_of_the_same_extent_is_another_picture(store):
    y, x = np.mgrid[:24, :24] - 11.5
    outlines = [DISC, DISC & (abs(x) + abs(y) < 13), DISC & ~((abs(x) < 3) & (y < -4))]
    assert levels_of(store, *(save(sprite([DARK] * 4, outline)) for outline in outlines)) == [""] * 3


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("png", {"compress_level": 0}),
        ("jpeg", {"quality": 90}),
        ("jpeg", {"quality": 70}),
        ("webp", {"quality": 80}),
        ("webp", {"lossless": True}),
    ],
)
def test_copies_of_a_small_object_are_still_found(store, format, options):
    pixels = sprite(QUADRANTS, DISC)
    twice = resized(pixels, 136, 112)
    larger = save(twice, format, **options)
    assert sorted(levels_of(store, save(pixels), save(pixels, format, **options), larger))[0] == ""
    table = dedup(
        collection(store, [[Picture("a", save(pixels)), Picture("b", save(pixels, format, **options))]]),
        ONE,
        store=store,
    ).table("duplicates")
    assert table["cluster"].nunique() == 1
    assert levels_of(store, save(pixels), larger) == ["near", ""]


DESCRIPTORS = """
import resource, sys
from stages.config.run import DedupConfig
from stages.dedup import dedup
from stages.demo.world import render, scene
from stages.store import open_store
from tests.stages.handmade import Picture, collection, save

pictures = [render(scene(3, index), 64) for index in range(15)]
rows = [
    Picture(f"{n}/{q}", save(p, "jpeg", quality=q)) for n, p in enumerate(pictures) for q in range(80, 90)
]
store = open_store(sys.argv[1])
images = collection(store, [rows])
resource.setrlimit(resource.RLIMIT_NOFILE, (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
result = dedup(images, DedupConfig(workers=1, part_rows=1), store=store)
print(result.statistics["parts"]["made"], result.table("duplicates")["cluster"].nunique())
"""


@pytest.mark.slow  # 150 parts, each synced to the disk
def test_there_may_be_more_parts_than_a_process_may_have_files(tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", DESCRIPTORS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert told.stdout.split() == ["150", "15"], told.stderr
