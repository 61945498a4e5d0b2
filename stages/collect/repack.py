"""What came in later rounds, packed together: where bytes lie must not tell how often they were asked for.

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
from stages.collect.outcomes import TABLE
from stages.collect.pack import Pack
from stages.collect.state import CollectionState
from stages.engine import Threads
from stages.fingerprint import fingerprint_of
from stages.output import Made, Output, Part, PartSpec
from stages.parquet_view import create_view

PLACES = "places.parquet"
_PLACE = pa.schema(
    [("sha256", pa.string()), ("file", pa.string()), ("offset", pa.int64()), ("length", pa.int64())]
)
_Member = tuple[str, str, str, int, int]  # sha256, format, file, offset, length


def repack(state: CollectionState, parts: Sequence[Part], rows: int, out: Output) -> list[Part]:
    """Pack the pictures of some parts anew, sorted by their bytes' hash; the parts that hold them then.

    Args:
        state: knows what became of every question, and hears of the new places.
        parts: of all rounds after the first.
        rows: pictures to a part.
        out: records the parts.
    """
    if not parts:
        return []
    create_view(state.sql, "late", *(part.path(TABLE) for part in parts))
    chosen = (
        "f.key IN (SELECT key FROM late WHERE reason = '') AND f.reason = ''"
        " AND f.file IN (SELECT file FROM late)"
    )
    members: list[_Member] = state.rows(
        f"""
        SELECT sha256, any_value(format), min_by(file, file), min_by("offset", file), min_by(length, file)
        FROM fates f WHERE {chosen} GROUP BY sha256 ORDER BY sha256
        """
    )
    holders = {name: part for part in parts for name in part.names("tars/")}
    specs: list[PartSpec] = []
    for number, start in enumerate(range(0, len(members), rows)):
        mine = members[start : start + rows]
        specs.append(PartSpec(f"late-{number:05d}", [fingerprint_of([one[0] for one in mine])], mine))
    packed = out.parts(specs, partial(_pack, holders=holders), Threads(WIDTH), config={}, note="packing")
    if packed:
        create_view(state.sql, "places", *(part.path(PLACES) for part in packed))
        state.sql.execute(
            f"""
            UPDATE fates AS f SET file = p.file, "offset" = p."offset", length = p.length
            FROM places p WHERE p.sha256 = f.sha256 AND {chosen}
            """
        )
    return packed


def _pack(folder: Path, members: Sequence[_Member], holders: dict[str, Part]) -> Made:
    with Pack(folder.with_name(folder.name + ".spool")) as pack:
        for sha256, format, file, offset, length in members:
            with holders[file].path(file).open("rb") as tar:
                tar.seek(offset)
                pack.add(sha256, format, tar.read(length))
        places = pack.write(folder)
    rows: list[dict[str, Any]] = [{"sha256": sha256, **vars(place)} for sha256, place in places.items()]
    pq.write_table(pa.Table.from_pylist(rows, _PLACE), folder / PLACES, compression="zstd")
    return Made(Funnel(len(members), len(members)))
