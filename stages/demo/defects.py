"""What is planted in the demo's table, and the ground truth: a web collection's faults, on known rows.

Rows are planned in blocks: a block depends on (seed, block number, its rows) alone, so that a longer table
begins with the rows of a shorter one, and blocks can be drawn by several processes.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np

from stages.demo import captions, manners, world
from stages.demo.encode import EXTENSIONS, SIDES, FileEncoding, draw_encoding, draw_side
from stages.demo.rates import DEFECTS, LABELS, PLANTED, UNCAPTIONED, WEB_DEFECTS, Rates
from stages.demo.world import Attributes

__all__ = [
    "BLOCK",
    "COPIES",
    "DEFECTS",
    "LABELS",
    "PLANTED",
    "UNCAPTIONED",
    "WEB_DEFECTS",
    "PlannedRow",
    "Rates",
    "differing",
    "plan",
]

BLOCK = 500
"""Rows planned together; a row's copies and its swapped partner lie in its own block."""

SHORT_CAPTIONS = ("image", " IMG_0042.jpg ")
BLANK_CAPTIONS = ("", "   ")
LABELLED_SHARE = 0.5
"""Share of the rows with a caption that have labels, too."""

COPIES: tuple[str, ...] = ("exact_copy", "reencoded_copy", "resized_copy", "duplicate_url")
"""Defects that show another row's picture."""


@dataclass(frozen=True)
class PlannedRow:
    """A row of the table as it is planned, and everything that is true of it."""

    row: int
    path: str
    """Of the URL, beginning with "/"."""
    caption: str
    phrasing: int
    """Of the caption, as in `captions.caption`."""
    defect: str
    """One of PLANTED, or "" where the row is good."""
    refers_to: int
    """Row copied, or exchanged with; -1 where there is none."""
    picture: int
    """Row whose scene the picture shows: the same number, the same picture. Placeholders keep their own,
    which nobody gets to see."""
    attributes: Attributes
    """What the picture shows; the caption may say otherwise."""
    side: int
    """Of the picture, pixels."""
    encoding: FileEncoding
    labelled: bool
    """Whether the table has its labels, which are true even where the caption is wrong."""

    @property
    def labels(self) -> dict[str, str]:
        """LABELS -> the picture's value, "" where the table has none."""
        return {name: getattr(self.attributes, name) if self.labelled else "" for name in LABELS}


def _good_row(seed: int, row: int) -> PlannedRow:
    rng = np.random.default_rng([seed, row, 2])
    attributes = world.draw_attributes(seed, row)
    phrasing = int(rng.integers(len(captions.TRAINING_PHRASINGS)))
    side, encoding = draw_side(rng), draw_encoding(rng)
    return PlannedRow(
        row=row,
        path=f"/{seed}/{row:06d}.{EXTENSIONS[encoding.format]}",
        caption=captions.caption(attributes, phrasing),
        phrasing=phrasing,
        defect="",
        refers_to=-1,
        picture=row,
        attributes=attributes,
        side=side,
        encoding=encoding,
        labelled=bool(np.random.default_rng([seed, row, 5]).random() < LABELLED_SHARE),
    )


def _copy(defect: str, own: PlannedRow, original: PlannedRow, rng: np.random.Generator) -> PlannedRow:
    """Row `own` as a copy of `original`; its caption describes the same picture in its own phrasing."""
    side, encoding = original.side, original.encoding
    if defect == "reencoded_copy":
        encoding = draw_encoding(rng, lossy=True)
        if encoding == original.encoding:
            encoding = FileEncoding(encoding.format, 70 + (encoding.quality - 70 + 9) % 26)
    elif defect == "resized_copy":
        encoding = draw_encoding(rng)
        sides = [s for s in range(SIDES[0], SIDES[1] + 1) if max(s, side) / min(s, side) >= 1.15]
        side = sides[rng.integers(len(sides))]
    return PlannedRow(
        row=own.row,
        path=original.path
        if defect == "duplicate_url"
        else f"{own.path.rsplit('.')[0]}.{EXTENSIONS[encoding.format]}",
        caption=captions.caption(original.attributes, own.phrasing),
        phrasing=own.phrasing,
        defect=defect,
        refers_to=original.row,
        picture=original.row,
        attributes=original.attributes,
        side=side,
        encoding=encoding,
        labelled=own.labelled,
    )


def _wrong_attribute(attributes: Attributes, rng: np.random.Generator) -> Attributes:
    """One attribute changed; never into a combination that training must not hear of."""
    while True:
        name = world.ATTRIBUTES[rng.integers(len(world.ATTRIBUTES))]
        others = [value for value in world.VALUES[name] if value != getattr(attributes, name)]
        wrong = Attributes(**{**asdict(attributes), name: others[rng.integers(len(others))]})
        if not world.held_out(wrong):
            return wrong


def differing(first: Attributes, second: Attributes) -> int:
    """In how many attributes two pictures differ."""
    return sum(getattr(first, name) != getattr(second, name) for name in world.ATTRIBUTES)


def plan(seed: int, block: int, rows: int, rates: Rates) -> list[PlannedRow]:
    """The first `rows` rows of block number `block`, good and planted, in the order of the table."""
    start = block * BLOCK
    planned = [_good_row(seed, row) for row in range(start, start + rows)]
    rng = np.random.default_rng([seed, block, 3])
    counts = {name: round(getattr(rates, name) * rows) for name in DEFECTS}
    counts["swapped_caption"] -= counts["swapped_caption"] % 2
    order = [int(i) for i in rng.permutation(rows)]
    chosen = {name: [order.pop() for _ in range(counts[name])] for name in DEFECTS}
    good = sorted(order)

    for name in COPIES:
        for i in chosen[name]:
            planned[i] = _copy(name, planned[i], planned[good[rng.integers(len(good))]], rng)
    for name in ("not_found", "flaky", "truncated", "html", "tiny"):
        for i in chosen[name]:
            planned[i] = replace(planned[i], defect=name)
    for i in chosen["short_caption"]:
        planned[i] = replace(planned[i], defect="short_caption", caption=SHORT_CAPTIONS[rng.integers(2)])
    for i in chosen["attribute_caption"]:
        wrong = captions.caption(_wrong_attribute(planned[i].attributes, rng), planned[i].phrasing)
        planned[i] = replace(planned[i], defect="attribute_caption", caption=wrong)
    waiting = chosen["swapped_caption"]
    while waiting:
        i = waiting.pop()
        # A swap that changes one attribute would be the other defect; so near a pair is left unswapped.
        j = next((k for k in waiting if differing(planned[i].attributes, planned[k].attributes) > 1), None)
        if j is None:
            continue
        waiting.remove(j)
        pair = planned[i], planned[j]
        for mine, theirs in (pair, pair[::-1]):
            planned[mine.row - start] = replace(
                mine,
                defect="swapped_caption",
                caption=theirs.caption,
                phrasing=theirs.phrasing,
                refers_to=theirs.row,
            )
    _plant_web(seed, block, planned, rates)
    _plant_uncaptioned(seed, block, planned, rates)
    return planned


def _free(planned: list[PlannedRow], rng: np.random.Generator) -> list[int]:
    """Places of the good rows that none others copy, in a random order."""
    copied = {row.refers_to for row in planned if row.defect in COPIES}
    free = [i for i, row in enumerate(planned) if not row.defect and row.row not in copied]
    return [free[i] for i in rng.permutation(len(free))]


_FORMATS = {"exif": "jpeg", "cmyk": "jpeg", "deep": "png"}
"""Formats that a defect asks for."""


def _plant_web(seed: int, block: int, planned: list[PlannedRow], rates: Rates) -> None:
    """Give some good rows, none that others copy, a defect of the web; all else stays as it was planned."""
    order = _free(planned, np.random.default_rng([seed, block, 4]))
    for name in WEB_DEFECTS:
        count = int(getattr(rates, name) * len(planned) + 1e-9)
        if name == "placeholder" and count < manners.PLACEHOLDERS:
            continue
        for _ in range(min(count, len(order))):
            i = order.pop()
            planned[i] = _on_the_web(seed, planned[i], name)


def _plant_uncaptioned(seed: int, block: int, planned: list[PlannedRow], rates: Rates) -> None:
    """Take the caption from some good rows, none that others copy, and from some their labels, too."""
    rng = np.random.default_rng([seed, block, 6])
    order = _free(planned, rng)
    for name in UNCAPTIONED:
        for _ in range(min(round(getattr(rates, name) * len(planned)), len(order))):
            i, blank = order.pop(), BLANK_CAPTIONS[rng.integers(2)]
            planned[i] = replace(planned[i], defect=name, caption=blank, labelled=name == "labels_only")


def _on_the_web(seed: int, row: PlannedRow, defect: str) -> PlannedRow:
    encoding = replace(row.encoding, format=_FORMATS.get(defect, row.encoding.format))
    name = f"{row.row:06d}.{EXTENSIONS[encoding.format]}"
    path = f"/{seed}/{manners.folder_of(defect, row.row)}{name}"
    return replace(row, defect=defect, path=path, encoding=encoding)
