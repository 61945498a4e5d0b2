"""`sdflow forget`: pictures that must not be used any more."""

import re
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
    from stages.takedown.purge import purge as purge_takedown
    from stages.takedown.records import drafted, records
    from stages.takedown.records import forget as record

    opened = open_to_read(store) if dry_run else open_to_write(store)
    values = {"url": url, "uid": uid, "sha256": sha256, "host": host}
    names = [name for kind in values for value in values[kind] for name in _names(kind, value)]
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


def _names(kind: str, value: str) -> Iterator["Name"]:
    """A name in the form in which the store has it; of a URL also as it is spelt, as older versions kept."""
    from stages.collect.web.url import normalise
    from stages.takedown.records import FORMS, Name

    value = value.strip()
    if kind == "url":
        normal = normalise(value)
        yield Name("url", normal)
        if value != normal and FORMS["url"][0].fullmatch(value):
            yield Name("url", value)
    elif kind == "host":
        # An address without its scheme must not pass for its whole host.
        alone = re.fullmatch(r"[^/?#@\s]+", value)
        yield Name("host", normalise(f"http://{value}/").split("/")[2] if alone else value)
    else:
        yield Name(kind, value.lower())


def _listed(path: Path) -> Iterator["Name"]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--file {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if not text:
            continue
        try:
            yield from _names(_kind(text), text)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {text!r} is no name of a picture: {error}") from error


def _kind(text: str) -> str:
    """What a name is, by its form."""
    if "://" in text:
        return "url"
    if re.fullmatch(r"[0-9a-fA-F]+", text) and len(text) in (32, 64):
        return "uid" if len(text) == 32 else "sha256"
    if "." in text or text.startswith("["):
        return "host"
    raise ValueError("it is neither an address, nor 32 or 64 hex digits, nor a host")


def _recorded(takedown: "Takedown", new: bool) -> Iterator[str]:
    if not takedown.number:
        yield "would be recorded:"
    else:
        yield f"take-down {takedown.number}" + ("" if new else f" of {takedown.time[:19]} says so already")
    counts = {
        "pictures held": len(takedown.sha256s),
        "uids": len(takedown.uids),
        "addresses": len(takedown.urls),
        "hosts": len(takedown.hosts),
    }
    yield "  " + ", ".join(f"{what}: {count:,}" for what, count in counts.items() if count)


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
                _rows(holder),
                ", ".join(holder.references),
                ", ".join(f"take-down {number}" for number in holder.purged),
            ]
            for holder in holders
        ],
    )
    print_lines([""])


def _rows(holder: "Holder") -> str:
    """How many of the pictures it holds; "?" where some may be of a dataset that was dropped."""
    if not holder.unasked:
        return f"{holder.rows:,}"
    return f"{holder.rows:,}, or more" if holder.rows else "?"


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
    with_pixels = [holder for holder in holders if holder.has_pixels]
    models = [holder for holder in holders if holder.has_learned]
    if with_pixels:
        yield f"run the line again for versions without it{_called(with_pixels)}"
    if models:
        yield f"train again, as what a model has learnt is not cut out{_called(models)}"
    unasked = [holder for holder in holders if holder.unasked]
    datasets = {tombstone.name: tombstone for holder in unasked for tombstone in holder.unasked}
    if unasked:
        yield (
            f"may have learned from it, and nobody can tell{_called(unasked)}: of what they were made from, "
            + "; ".join(map(str, datasets.values()))
        )
    if purged is None and any(takedown.number not in holder.purged for holder in with_pixels):
        yield "the bytes are still in the store; the same command with --purge takes them out"


def _called(holders: Sequence["Holder"]) -> str:
    names = sorted({reference.partition("@")[0] for holder in holders for reference in holder.references})
    return f": {', '.join(names)}" if names else ""


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
