"""Kind: what artifacts of one kind are to the rest of the project, declared once, beside the stage.

Take-downs ask it where a picture's pixels lie and how many pictures an artifact holds, a trace what it says
of a row. `stages.registry` names the kind of every stage. These declarations import nothing that takes long
(no torch, pandas or pyarrow), since `sdflow trace` reads all of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

from stages.artifacts.artifact import Artifact
from stages.fingerprint import JSON, short_hash
from stages.takedown.spans import Drawing, Span

Row = Mapping[str, Any]
"""A row of a table, by columns."""


@dataclass(frozen=True)
class TakenDown:
    """The pictures of a take-down, under the names by which one artifact knows them."""

    sha256s: AbstractSet[str]
    """Of their bytes as collected."""
    uids: AbstractSet[str]
    """In the collection that the artifact was made from."""
    known: bool = True
    """False: that collection was dropped, and nobody can look up any more by which uids it knew them."""

    def rows(
        self,
        artifact: Artifact,
        table: str,
        columns: Sequence[str],
        *,
        by: Literal["uid", "sha256"] = "uid",
        split: str = "",
    ) -> list[dict[str, Any]]:
        """The rows of an artifact's table that are of these pictures.

        Args:
            artifact: whose table it is.
            table: name of the file without ".parquet".
            columns: that are read.
            by: the column that names the picture.
            split: only rows of this split; empty: of all.
        """
        names = sorted(self.uids if by == "uid" else self.sha256s)
        if not names:
            return []
        filters: list[tuple[str, str, object]] = [(by, "in", names)]
        filters += [("split", "==", split)] if split else []
        return artifact.arrow_table(table, columns, filters).to_pylist()


Pixels = Callable[[Artifact, TakenDown], Iterable[Span | Drawing]]
"""Where the pictures' pixels lie in an artifact's files, or anything of which they could be made again:
ranges of bytes, and drawings that show one among others."""
Count = Callable[[Artifact, TakenDown], int]
"""How many of the pictures an artifact holds."""


@dataclass(frozen=True)
class RowTrace:
    """What a trace says of a picture from its row in one table of an artifact."""

    table: str
    """Name of the file without ".parquet"; artifacts without it say nothing."""
    label: str | Callable[[Row], str]
    """What became of the picture, in a word or two."""
    columns: tuple[str, ...] = ()
    """Shown as they are."""
    facts: Callable[["Lookup", Row], Mapping[str, Any]] | None = None
    """What else is shown."""

    def event(self, lookup: "Lookup", row: Row) -> dict[str, Any]:
        """{"what": label, ...} of a row."""
        label = self.label if isinstance(self.label, str) else self.label(row)
        facts = self.facts(lookup, row) if self.facts else {}
        return {"what": label, **{column: row[column] for column in self.columns}, **facts}


@dataclass(frozen=True)
class PictureTable:
    """A table that says where the pictures of an artifact lie, as files that can be decoded."""

    table: str
    """Name of the file without ".parquet"; its columns `uid`, `file`, `offset` and `length` (bytes) name a
    picture and its bytes in a file of the artifact."""
    checksum: str
    """Column with what these bytes are: their SHA-256 in hex digits, or their CRC-32 as a number."""


@dataclass(frozen=True)
class VectorTable:
    """A table that says where the pictures' embeddings lie, as rows of arrays."""

    table: str
    """Name of the file without ".parquet"; its columns `uid` and `file` name a picture and an .npy file of
    the artifact, (rows, dimensions), of vectors of length 1."""
    row: str
    """Column with the row of the picture in that file."""


Lookup = Callable[[str, str, str], Iterator[Row]]
"""(table, column, value) -> the rows of one artifact's table that have this value; none where it has no such
table."""


def input_name(artifact: Artifact, name: str) -> str | None:
    """What a config calls an input: an artifact by its fingerprint; None of one from outside the store, of
    which a manifest has the digest alone."""
    recorded = artifact.manifest.inputs[name]
    assert recorded, name
    return f"{recorded['stage']}/{short_hash(recorded['fingerprint'])}" if recorded["fingerprint"] else None


def no_pixels(artifact: Artifact, pictures: TakenDown) -> Iterable[Span | Drawing]:
    """Of kinds that hold nothing of which a picture could be made again."""
    return ()


def rows_in(table: str) -> Count:
    """A count of the rows of one table."""
    return lambda artifact, pictures: len(pictures.rows(artifact, table, ["uid"]))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What artifacts of one kind are to take-downs, traces and listings."""

    name: str
    """As manifests have it."""
    pixels: Pixels
    """What a purge must take out; `no_pixels` where there is nothing."""
    purged: str
    """What becomes of these places in a purge, in words that docs/collection.md has."""
    count: Count | None = None
    """Of kinds that hold pictures."""
    trace: tuple[RowTrace, ...] = ()
    """Tables with a row for each picture, and what they say."""
    shown: PictureTable | None = None
    """Of kinds whose files have pictures that can be shown; pages show from them also what was made of such
    an artifact."""
    vectors: VectorTable | None = None
    """Of kinds that have an embedding of each picture."""
    splits: bool = False
    """It is learned from: its table `index` has a column `split`, whose "train" is what models see."""
    derived: Callable[[Artifact], Mapping[str, Any]] | None = None
    """What a trace says of an artifact that was made from a dataset, or a model, which learned from the
    picture."""
    learns: bool = False
    """It is a model: whatever is made from it goes back to the pictures that it learned from."""
    settings: Callable[[Artifact], Mapping[str, JSON]] | None = None
    """Keys of its stage's config that no manifest has, since an input says what they meant: each with its
    value, "local-dir:clip" of "model", or None where the artifact does not tell."""
    outlives: tuple[str, ...] = ()
    """Inputs without which such an artifact is whole: retention may drop them while it stays, and keeps their
    names and lineage for it. All other inputs stay for as long as it does."""
    supersedes: tuple[str, ...] = ()
    """Inputs in whose place it stands, as an edition in that of the one before: it has all that it needs of
    them. They may be dropped likewise, and their lineage is nobody's any more."""
    anonymous: tuple[str, ...] = ()
    """Beginnings of names of files that hold pictures and don't say whose. A part of an unfinished run that
    has such a file goes with every purge, and is made again."""
