"""Builds the demo's web site on disk: the table that the pipeline reads, the files behind it, the truth."""

import functools
import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy
import PIL
import pyarrow as pa
import pyarrow.parquet as pq

from stages.demo import defects, world
from stages.demo.bodies import ServedBody, bodies
from stages.demo.defects import BLOCK, LABELS, PlannedRow, Rates
from stages.demo.manners import HOST, SECOND_HOST, host_of

DEFAULT_PORT = 27182
"""Part of the table's URLs, and so of the rows' names: the same port, the same rows."""


@dataclass(frozen=True)
class CannedResponse:
    """The canned response to requests of a path."""

    status: int
    """200, or 302 with a Location among the headers."""
    content_type: str
    offset: int
    """Of the body in the pictures' file, bytes."""
    length: int
    behaviour: str
    """One of `bodies.BEHAVIOURS`, or "" where every request gets the same."""
    headers: list[tuple[str, str]]
    """Lines besides type and length."""


@dataclass(frozen=True)
class DemoSite:
    """A built site. The pipeline may see `table` alone."""

    folder: Path
    rows: int
    seed: int
    port: int

    @property
    def table(self) -> Path:
        """Parquet: url, caption, row, and a column of each label, "" where there is none."""
        return self.folder / "table" / "rows.parquet"

    @property
    def truth(self) -> Path:
        """Parquet: row, url, defect, refers_to, picture, its attributes, phrasing, side, format, quality,
        labelled."""
        return self.folder / "truth.parquet"

    @property
    def pictures(self) -> Path:
        """All bodies, one after the other."""
        return self.folder / "pictures.bin"

    @property
    def hosts(self) -> list[str]:
        """Addresses on which it must be served."""
        urls: list[str] = pq.read_table(self.table, columns=["url"])["url"].to_pylist()
        second = f"http://{SECOND_HOST}:"
        return [HOST, SECOND_HOST] if any(url.startswith(second) for url in urls) else [HOST]

    def answers(self) -> dict[str, CannedResponse]:
        """Path -> answer, for every path that the server knows."""
        known = json.loads((self.folder / "answers.json").read_text())
        return {path: CannedResponse(*values) for path, values in known.items()}


def _block(seed: int, rows: int, rates: Rates, block: int) -> tuple[list[PlannedRow], list[ServedBody]]:
    """The rows of a block, and what is served for them."""
    planned = defects.plan(seed, block, min(BLOCK, rows - block * BLOCK), rates)
    originals = {row.row: row for row in planned if not row.defect}
    return planned, [body for row in planned for body in bodies(row, originals, seed)]


def _blocks(seed: int, rows: int, rates: Rates) -> Iterator[tuple[list[PlannedRow], list[ServedBody]]]:
    make = functools.partial(_block, seed, rows, rates)
    numbers = range(-(-rows // BLOCK))
    if len(numbers) < 3:  # starting processes would take longer than drawing
        yield from map(make, numbers)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(numbers)), mp_context=spawn) as pool:
        yield from pool.map(make, numbers)


_CODE = frozenset(
    "world shapes patterns captions encode rates manners defects unusual bodies site".split()  # noqa: SIM905
)
"""Modules that a site is made by."""


def _request(rows: int, seed: int, rates: Rates, port: int) -> dict[str, Any]:
    """What a finished site must have been built from to be used again."""
    code = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        if source.stem in _CODE:
            code.update(source.read_bytes())
    return {
        "rows": rows,
        "seed": seed,
        "rates": asdict(rates),
        "port": port,
        "code": code.hexdigest(),
        "pillow": PIL.__version__,
        "numpy": numpy.__version__,
    }


def build(
    folder: str | Path, rows: int, seed: int, rates: Rates | None = None, port: int = DEFAULT_PORT
) -> DemoSite:
    """Builds the site of `rows` rows in `folder`, or finds it there built from the same request.

    Writes table/rows.parquet, truth.parquet, pictures.bin, answers.json and, last, site.json. ValueError for
    less than one row or a port out of range.
    """
    if rows < 1:
        raise ValueError(f"rows={rows}: a site has at least one row")
    if not 1 <= port <= 65535:
        raise ValueError(
            f"port={port}: ports are 1 to 65535; it is part of the URLs, so it cannot be left to chance"
        )
    site = DemoSite(folder=Path(folder), rows=rows, seed=seed, port=port)
    request = _request(rows, seed, rates or Rates(), port)
    done = site.folder / "site.json"
    if done.exists() and json.loads(done.read_text()) == request:
        return site
    done.unlink(missing_ok=True)
    site.table.parent.mkdir(parents=True, exist_ok=True)
    planned: list[PlannedRow] = []
    answers: dict[str, list[Any]] = {}
    offset = 0
    with site.pictures.open("wb") as pictures:
        for block_rows, served in _blocks(seed, rows, rates or Rates()):
            planned += block_rows
            for body in served:
                size = len(body.data)
                response = [body.status, body.content_type, offset, size, body.behaviour, body.headers]
                answers[body.path] = response
                offset += pictures.write(body.data)
    table = {
        "url": [f"http://{host_of(row.defect)}:{port}{row.path}" for row in planned],
        "caption": [row.caption for row in planned],
        "row": [row.row for row in planned],
        **{name: [row.labels[name] for row in planned] for name in LABELS},
    }
    truth = {
        "row": table["row"],
        "url": table["url"],
        "defect": [row.defect for row in planned],
        "refers_to": [row.refers_to for row in planned],
        "picture": [row.picture for row in planned],
        **{name: [getattr(row.attributes, name) for row in planned] for name in world.ATTRIBUTES},
        "phrasing": [row.phrasing for row in planned],
        "side": [row.side for row in planned],
        "format": [row.encoding.format for row in planned],
        "quality": [row.encoding.quality for row in planned],
        "labelled": [row.labelled for row in planned],
    }
    pq.write_table(pa.table(table), site.table, compression="zstd")
    pq.write_table(pa.table(truth), site.truth, compression="zstd")
    (site.folder / "answers.json").write_text(json.dumps(answers))
    aside = site.folder / "site.json.part"
    aside.write_text(json.dumps(request))
    aside.rename(done)
    return site


def open_site(folder: str | Path) -> DemoSite:
    """A site that `build` finished; ValueError where there is none."""
    done = Path(folder) / "site.json"
    if not done.exists():
        raise ValueError(
            f"folder={str(folder)!r} holds no finished demo site; stages.demo.site.build makes one"
        )
    built = json.loads(done.read_text())
    return DemoSite(folder=Path(folder), rows=built["rows"], seed=built["seed"], port=built["port"])
