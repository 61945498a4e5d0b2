"""What came in later rounds, packed together: where bytes lie must not tell how often they were requested.

Else a run that was killed and continued, and so met a site's hiccups in other rounds, would end in another
digest, and everything below it would be done again.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.artifacts.artifact import Funnel
from stages.collect.context import WIDTH
from stages.collect.outcomes import OUTCOMES_FILE
from stages.collect.pack import Pack
from stages.collect.state import CollectionState, Picture
from stages.engine import Threads
from stages.fingerprint import fingerprint_of
from stages.output import Output, Part, PartResult, PartSpec

PLACES = "places.parquet"
_PLACE = pa.schema(
    [("sha256", pa.string()), ("file", pa.string()), ("offset", pa.int64()), ("length", pa.int64())]
)


def repack(state: CollectionState, parts: Sequence[Part], rows: int, out: Output) -> list[Part]:
    """Pack the pictures of some parts anew, sorted by their bytes' hash; the parts that hold them then.

    Args:
        state: has the outcome of every request, and gets the new places.
        parts: of all rounds after the first.
        rows: pictures to a part.
        out: records the parts.
    """
    if not parts:
        return []
    pictures = state.pictures_of([part.path(OUTCOMES_FILE) for part in parts])
    holders = {name: part for part in parts for name in part.names("tars/")}
    specs: list[PartSpec] = []
    for number, start in enumerate(range(0, len(pictures), rows)):
        some = pictures[start : start + rows]
        specs.append(
            PartSpec(f"repacked-{number:05d}", [fingerprint_of([sha256 for sha256, *_ in some])], some)
        )
    packed = out.parts(specs, partial(_pack, holders=holders), Threads(WIDTH), config={}, note="packing")
    if packed:
        state.relocate([part.path(PLACES) for part in packed])
    return packed


def _pack(folder: Path, pictures: Sequence[Picture], holders: dict[str, Part]) -> PartResult:
    with Pack(folder.with_name(folder.name + ".spool")) as pack:
        for sha256, format, file, offset, length in pictures:
            with holders[file].path(file).open("rb") as tar:
                tar.seek(offset)
                pack.add(sha256, format, tar.read(length))
        places = pack.write(folder)
    rows: list[dict[str, Any]] = [{"sha256": sha256, **vars(place)} for sha256, place in places.items()]
    pq.write_table(pa.Table.from_pylist(rows, _PLACE), folder / PLACES, compression="zstd")
    return PartResult(Funnel(len(pictures), len(pictures)))
