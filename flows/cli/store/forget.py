"""`sdflow forget`: pictures that must not be used any more."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read, open_to_write
from flows.cli.store.listing import print_json, print_lines, print_table

if TYPE_CHECKING:
    from stages.takedown.holders import Holder
    from stages.takedown.purge import Purged
    from stages.takedown.records import Name, Takedown

Names = tuple[str, ...]
_option = partial(Parameter, negative="", show_default=False)


def forget(
    *,
    why: Annotated[str, Parameter(help="Who asked for it and on what ground; it stays on record.")],
    url: Annotated[Names, _option(help="Address of a picture.")] = (),
    uid: Annotated[Names, _option(help="A row, 32 hex digits.")] = (),
    sha256: Annotated[Names, _option(help="A picture's bytes, 64 hex digits.")] = (),
    host: Annotated[Names, _option(help="A host with all hosts below it.")] = (),
    file: Annotated[
        Path | None,
        Parameter(help="A list of such names, one a line, in any mixture; # begins a comment."),
    ] = None,
    purge: Annotated[bool, _option(help="Take the bytes out of the store, too.")] = False,
    dry_run: Annotated[bool, _option(help="Tell what would be done; change nothing.")] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Record that pictures must not be used, under any name; tell what holds them.

    A take-down names pictures by any of their names, and takes in all others under which the store ever held
    the same bytes. Runs after it neither ask for these pictures nor take them over: later versions of every
    collection and dataset leave them out, as `taken_down`. With --purge their bytes leave every file of the
    store; manifests stand, and amendments beside them say what was changed. Tables keep uids, addresses and
    captions, so that questions can be answered. Out of reach are the sources themselves, caches and stores
    elsewhere, and pictures in Prefect's reports.

    **Examples**

    ```
    sdflow forget --url https://example.org/a.jpg --why "asked by the photographer, 3 May"
    sdflow forget --host example.org --why "letter of 3 May" --dry-run
    sdflow forget --file list.txt --why "batch 7" --purge
    ```
    """
    from stages.takedown.holders import holders as holders_of
    from stages.takedown.names import names_of
    from stages.takedown.purge import purge as purge_takedown
    from stages.takedown.records import drafted, records
    from stages.takedown.records import forget as record

    opened = open_to_read(store) if dry_run else open_to_write(store)
    values = {"url": url, "uid": uid, "sha256": sha256, "host": host}
    names = [name for kind in values for value in values[kind] for name in names_of(kind, value)]
    names += _listed(file) if file is not None else []
    before = {takedown.number for takedown in records(opened)}
    takedown = drafted(opened, names, why) if dry_run else record(opened, names, why)
    new = takedown.number not in before
    holders = holders_of(opened, set(takedown.sha256s))
    if not json:
        print_lines(_recorded(takedown, new))
        _print_holders(holders)
    purged = purge_takedown(opened, takedown, dry_run=dry_run) if purge else None
    if not json:
        print_lines([*(_purged(purged, dry_run) if purged else []), *_next(takedown, holders, purged)])
        return
    print_json({
        "takedown": asdict(takedown),
        "new": new,
        "holders": [_facts(holder) for holder in holders_of(opened, set(takedown.sha256s))],
        "purged": asdict(purged) if purged else None,
    })  # fmt: skip


def _listed(path: Path) -> Iterator["Name"]:
    from stages.takedown.names import listed_names

    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--file {path} cannot be read: {error}") from error
    yield from listed_names(text, str(path))


def _recorded(takedown: "Takedown", new: bool) -> Iterator[str]:
    from stages.takedown.remaining import counts

    if not takedown.number:
        yield "would be recorded:"
    else:
        yield f"take-down {takedown.number}" + ("" if new else f" of {takedown.time[:19]} says so already")
    yield "  " + ", ".join(f"{what}: {count:,}" for what, count in counts(takedown).items())


def _print_holders(holders: Sequence["Holder"]) -> None:
    if not holders:
        print_lines(["nothing in the store holds it"])
        return
    print_lines([""])
    print_table(
        ["held by", "kind", "pictures", "references", "purged by"],
        [
            [
                str(holder),
                holder.artifact.kind,
                holder.shown_rows,
                ", ".join(holder.references),
                ", ".join(f"take-down {number}" for number in holder.purged),
            ]
            for holder in holders
        ],
    )
    print_lines([""])


def _purged(purged: "Purged", dry_run: bool) -> Iterator[str]:
    verb = "would purge" if dry_run else "purged"
    yield (
        f"{verb} {purged.bytes:,} bytes in {purged.files:,} files of {purged.artifacts:,} artifacts; "
        f"{purged.parts:,} records of parts dropped"
    )
    if purged.busy:
        yield f"{', '.join(purged.busy)} began meanwhile: say it again when that has ended"


def _next(takedown: "Takedown", holders: Sequence["Holder"], purged: "Purged | None") -> Iterator[str]:
    """What is left to do."""
    from stages.takedown.remaining import holds_bytes, next_steps

    yield from next_steps(holders)
    if purged is None and holds_bytes(takedown, holders):
        yield "the bytes are still in the store; the same command with --purge takes them out"


def _facts(holder: "Holder") -> dict[str, object]:
    return {
        "stage": holder.artifact.stage,
        "fingerprint": holder.artifact.fingerprint,
        "kind": holder.artifact.kind,
        "rows": holder.rows,
        "references": holder.references,
        "purged": holder.purged,
        "unasked": [tombstone.name for tombstone in holder.unasked],
    }
