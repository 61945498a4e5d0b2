"""What became of a set of pictures from one version to the next: added, same, changed, removed, and why."""

import json
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from stages.artifacts.artifact import Artifact
from stages.collect.report.views import views
from stages.parquet_view import literal, parquet

NEW_ROW = "new_row"
"""Why a picture was added of which the version before says nothing."""
LEFT_THE_TABLE = "left_the_table"
"""Why a picture was removed of which the new version says nothing: no source names it any more, or it is
outside the sample that `limit` takes."""
EXAMPLES = 3
"""Of each kind of change."""

CHANGES = pa.schema(
    [
        ("uid", pa.string()),
        ("change", pa.string()),  # "added", "removed", "changed" (other bytes), "captions" (same bytes)
        ("reason", pa.string()),  # why it was removed; why it was not held before it was added; else ""
        ("location", pa.string()),
    ]
)
"""A row for each picture that is not in both versions with the same bytes and captions; sorted by uid."""


@dataclass(frozen=True)
class PictureChange:
    """One row of `CHANGES`."""

    uid: str
    change: str
    reason: str
    location: str


@dataclass(frozen=True)
class Diff:
    """What differs between two versions. added + same_bytes + changed are the pictures of the new one."""

    added: int
    """Pictures that the old version did not hold."""
    added_after: Mapping[str, int]
    """Of these, by what the old version said of them: the reason it refused them for, or "new_row"."""
    same_bytes: int
    """Pictures of both, with the same bytes."""
    captions_changed: int
    """Of these, pictures with other captions (other texts, in whatever order)."""
    changed: int
    """Pictures of both, with other bytes."""
    removed: Mapping[str, int]
    """Pictures that the new version does not hold, by the reason it gives, or "left_the_table"."""
    examples: Sequence[PictureChange]
    """A few of each kind of change, for each reason."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, default=dict)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Diff":
        """The value of `to_json`."""
        raw: dict[str, Any] = json.loads(text)
        examples = tuple(PictureChange(**example) for example in raw.pop("examples"))
        return cls(**raw, examples=examples)


@dataclass(frozen=True)
class _Version:
    """A version as SQL: `pictures` (uid, sha256, location, captions), `refused` (uid, reason)."""

    pictures: str
    refused: str


_NOTHING = _Version(
    "SELECT '' AS uid, '' AS sha256, '' AS location, 0::UBIGINT AS captions WHERE false",
    "SELECT '' AS uid, '' AS reason WHERE false",
)


def diff(old: Artifact | None, new: Artifact) -> Diff:
    """What is different between two collections, or between two datasets.

    The reasons of a dataset are those of its selection, and below that of its collection. Its pictures are
    compared by the bytes that were collected: what packing does to them is another matter.

    Args:
        old: the version before; None: everything is new.
        new: the version after, of the same stage.

    Raises:
        ValueError: they are not both collections, nor both datasets.
    """
    with _compared(_both(old, new)) as db:
        return _diff(db)


def diff_tables(
    old_images: Sequence[Path],
    old_rejects: Sequence[Path],
    new_images: Sequence[Path],
    new_rejects: Sequence[Path],
) -> Diff:
    """What is different between two collections, by the files of record.IMAGES and record.REJECTS."""
    both = _collected(old_images, old_rejects), _collected(new_images, new_rejects)
    with _compared(both) as db:
        return _diff(db)


def changes(old: Artifact | None, new: Artifact) -> Any:
    """Every picture that is different, a pa.Table of `CHANGES`; arguments and errors as of `diff`."""
    with _compared(_both(old, new)) as db:
        return db.sql("SELECT * FROM changes ORDER BY uid").to_arrow_table().cast(CHANGES)


def write_changes(old: Artifact | None, new: Artifact, path: Path) -> Diff:
    """Write every picture that is different as a Parquet file of `CHANGES`, and count them; other arguments
    and errors as of `diff`."""
    with _compared(_both(old, new)) as db:
        query = "SELECT * FROM changes ORDER BY uid"
        db.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")
        return _diff(db)


def _both(old: Artifact | None, new: Artifact) -> tuple[_Version, _Version]:
    if old is not None and old.stage != new.stage:
        raise ValueError(
            f"{old.short_name} and {new.short_name} are of different "
            "stages; compare two collections (images/NAME) or two datasets (datasets/NAME)"
        )
    return _version(old) if old is not None else _NOTHING, _version(new)


def _version(artifact: Artifact) -> _Version:
    if artifact.kind == "images":
        return _collected(artifact.table_files("images"), artifact.table_files("rejects"))
    if artifact.kind != "dataset":
        raise ValueError(
            f"{artifact.short_name} is neither a collection (images/NAME) nor a "
            "dataset (datasets/NAME); only these can be compared"
        )
    images, selection = artifact.input("images"), artifact.input("selection")
    assert images is not None, f"{artifact.fingerprint} has no images"
    assert selection is not None, f"{artifact.fingerprint} has no selection"
    index, collected = parquet(*artifact.table_files("index")), parquet(*images.table_files("images"))
    return _Version(
        "SELECT i.uid, c.sha256, c.location, "
        "hash(list_sort(list_transform(i.captions, lambda c: c.text))) AS captions "
        f"FROM {index} i JOIN {collected} c USING (uid)",
        " UNION ALL ".join(_refused(artifact.table_files("rejects")) for artifact in (selection, images)),
    )


def _collected(images: Sequence[Path], rejects: Sequence[Path]) -> _Version:
    texts = "hash(list_sort(list_transform(captions, lambda c: c.text)))"
    return _Version(
        f"SELECT uid, sha256, location, {texts} AS captions FROM {parquet(*images)}", _refused(rejects)
    )


def _refused(rejects: Sequence[Path]) -> str:
    # A row that was merged into its own uid is a further row of the same picture: it says nothing of that.
    return f"SELECT uid, reason FROM {parquet(*rejects)} WHERE merged_into <> uid"


@contextmanager
def _compared(both: tuple[_Version, _Version]) -> Generator[duckdb.DuckDBPyConnection]:
    """A database with the table `changes` and the view `new_pictures`."""
    old, new = both
    queries = {
        "old_pictures": old.pictures,
        "new_pictures": new.pictures,
        "old_refused": f"SELECT uid, min(reason) AS reason FROM ({old.refused}) GROUP BY uid",
        "new_refused": f"SELECT uid, min(reason) AS reason FROM ({new.refused}) GROUP BY uid",
    }
    with views(queries) as db:
        db.execute(
            f"""
            CREATE TABLE changes AS
            WITH different AS (
                SELECT uid, coalesce(n.location, o.location) AS location,
                    CASE
                        WHEN o.sha256 IS NULL THEN 'added'
                        WHEN n.sha256 IS NULL THEN 'removed'
                        WHEN o.sha256 <> n.sha256 THEN 'changed'
                        ELSE 'captions'
                    END AS change
                FROM old_pictures o FULL JOIN new_pictures n USING (uid)
                WHERE o.sha256 IS DISTINCT FROM n.sha256 OR o.captions <> n.captions
            )
            SELECT uid, change,
                CASE change
                    WHEN 'added' THEN coalesce(o.reason, '{NEW_ROW}')
                    WHEN 'removed' THEN coalesce(n.reason, '{LEFT_THE_TABLE}')
                    ELSE ''
                END AS reason, location
            FROM different LEFT JOIN old_refused o USING (uid) LEFT JOIN new_refused n USING (uid)
            """
        )
        yield db


def _diff(db: duckdb.DuckDBPyConnection) -> Diff:
    counts: dict[str, Counter[str]] = {
        name: Counter() for name in ("added", "removed", "changed", "captions")
    }
    for change, reason, rows in db.execute(
        "SELECT change, reason, count(*) FROM changes GROUP BY ALL ORDER BY count(*) DESC, reason"
    ).fetchall():
        counts[change][reason] = rows
    (rows,) = db.execute("SELECT count(*) FROM new_pictures").fetchall()[0]
    examples = db.execute(
        f"""
        SELECT uid, change, reason, location FROM changes
        QUALIFY row_number() OVER (PARTITION BY change, reason ORDER BY uid) <= {EXAMPLES}
        ORDER BY change, reason, uid
        """
    ).fetchall()
    added, changed = counts["added"].total(), counts["changed"].total()
    return Diff(
        added=added,
        added_after=dict(counts["added"]),
        same_bytes=rows - added - changed,
        captions_changed=counts["captions"].total(),
        changed=changed,
        removed=dict(counts["removed"]),
        examples=tuple(PictureChange(*example) for example in examples),
    )
