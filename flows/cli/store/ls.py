"""`sdflow ls`: what a store holds, by the names that people use."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, JsonOption, StoreOption, open_to_read
from flows.cli.store.listing import print_json, print_lines, print_table
from stages.fingerprint import short_hash

if TYPE_CHECKING:
    from stages.artifacts.artifact import Artifact
    from stages.artifacts.reference import Reference
    from stages.store import Store

Histories = Mapping[str, Sequence["Reference"]]
"""By name, oldest first."""


def ls(
    what: Annotated[
        str, Parameter(show_default=False, help="A name, for its history, or how names begin, as datasets/.")
    ] = "",
    /,
    *,
    stage: Annotated[str, Parameter(show_default=False, help="Only results of this stage, as shard.")] = "",
    every: Annotated[
        bool,
        Parameter(name="--all", negative="", show_default=False, help="Results without a name, too."),
    ] = False,
    running: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="What is at work, on whatever machine, and how far it is."
        ),
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List what a store holds: names with the newest version of each, and the results that they name.

    **Examples**

    ```
    sdflow ls
    sdflow ls datasets/               # names that begin so
    sdflow ls datasets/birds          # one name's history
    sdflow ls --all --stage filter    # of a stage, with results that nobody has named
    sdflow ls --running               # what is at work, at which speed, until when
    sdflow ls --store s3://bucket/results --json | jq '.artifacts[].fingerprint'
    ```
    """
    from stages.artifacts.artifact import artifacts
    from stages.artifacts.names import is_name

    if stage and not is_name(stage):
        raise ValueError(f"--stage {stage!r} is no stage; name one, as shard or train")
    if running and (what or every):
        raise ValueError("--running lists unfinished work, which has no name yet: leave out names and --all")
    opened = open_to_read(store)
    if running:
        from flows.cli.store.running import print_running

        print_running(opened, stage, as_json=json)
        return
    histories = _histories(opened, what, stage)
    named = _named(opened, histories)
    # A stage's name is also that of the folder of its manifests.
    listed = list(artifacts(opened, stage or None)) if every and not what else list(named.values())
    listed.sort(key=lambda artifact: artifact.manifest.ended)
    unnamed = 0 if what or every else _count(opened, stage) - len(named)
    if json:
        history = [_entry(opened, entry, named) for entry in histories.get(what, ())]
        print_json({
            "references": [_entry(opened, entries[-1], named) for entries in histories.values()],
            **({"history": history} if what in histories else {}),
            "artifacts": [_facts(artifact) for artifact in listed],
        })  # fmt: skip
        return
    if what in histories:
        _print_history(opened, histories[what], named, whole=not stage)
        return
    if not listed and not unnamed:
        nothing = (
            f"no result of {stage}" if stage else "nothing finished yet; `sdflow run CONFIG.yaml` fills it"
        )
        print_lines([f"store {opened.url} holds {nothing}"])
        return
    if histories:
        _print_names(opened, histories)
        print_lines([""])
    if listed:
        _print_artifacts(listed)
    if unnamed:
        print_lines([f"{unnamed:,} results that no reference names are not shown (--all lists them)"])


def _print_names(store: "Store", histories: Histories) -> None:
    from stages.artifacts.reference import is_released

    print_table(
        ["reference", "artifact", "digest", "since", "versions"],
        [
            [
                str(newest),
                newest.short_name,
                short_hash(newest.digest),
                newest.time[:19],
                f"{len(entries):,}" + ("" if is_released(store, newest) else "  on hold"),
            ]
            for entries in histories.values()
            for newest in [entries[-1]]
        ],
    )


def _print_artifacts(listed: Sequence["Artifact"]) -> None:
    print_table(
        ["artifact", "digest", "rows in", "rows out", "files", "MB", "finished"],
        [
            [
                artifact.short_name,
                short_hash(artifact.digest),
                f"{artifact.funnel.rows_in:,}",
                f"{artifact.funnel.rows_out:,}",
                f"{len(artifact.files):,}",
                f"{_size(artifact) / 1e6:,.1f}",
                artifact.manifest.ended[:19],
            ]
            for artifact in listed
        ],
    )


def _histories(store: "Store", what: str, stage: str) -> Histories:
    """Of the name `what`, else of those that begin so; of a stage's results alone where one is given, as a
    name may have had those of several."""
    from stages.artifacts.reference import ANNOUNCED, names, references

    everything = [name for name in names(store) if not name.startswith(ANNOUNCED)]
    beginning = what if not what or what.endswith("/") else f"{what}/"
    chosen = [what] if what in everything else [name for name in everything if name.startswith(beginning)]
    if what and not chosen:
        some = ", ".join(everything[:12]) or "none yet"
        raise ValueError(f"no name in {store.url} is {what!r} or begins so; names: {some}")
    histories = {
        name: [entry for entry in references(store, name) if stage in ("", entry.stage)] for name in chosen
    }
    return {name: entries for name, entries in histories.items() if entries}


def _named(store: "Store", histories: Histories) -> dict[str, "Artifact"]:
    """What the histories name, by fingerprint."""
    from stages.artifacts.artifact import Artifact

    nodes = {(entry.stage, entry.fingerprint) for entries in histories.values() for entry in entries}
    named = (Artifact.find(store, *node) for node in sorted(nodes))
    return {artifact.fingerprint: artifact for artifact in named if artifact is not None}


def _count(store: "Store", stage: str) -> int:
    """How many results there are."""
    return sum(1 for _ in store.list(f"manifests/{stage}".rstrip("/")))


def _print_history(
    store: "Store", history: Sequence["Reference"], named: Mapping[str, "Artifact"], *, whole: bool
) -> None:
    """A history for people; `whole`: it is all that there is of a name, not of one stage alone."""
    facts = [_entry(store, entry, named) for entry in history]
    print_table(
        ["version", "since", "rows", "artifact", "digest", "note"],
        [
            [
                str(entry),
                entry.time[:19],
                f"{fact['rows']:,}" if fact["rows"] is not None else "gone",
                entry.short_name,
                short_hash(entry.digest),
                _note(fact),
            ]
            for entry, fact in zip(history, facts, strict=True)
        ],
    )
    if whole and (dropped := history[-1].number - len(history)):
        print_lines([f"{dropped:,} other versions were dropped"])


def _note(fact: Mapping[str, Any]) -> str:
    reasons = "; ".join(fact["on_hold"])
    if not reasons:
        return ""
    return f"{fact['approved']} (on hold before: {reasons})" if fact["approved"] else f"on hold: {reasons}"


def _entry(store: "Store", entry: "Reference", named: Mapping[str, "Artifact"]) -> dict[str, Any]:
    from stages.artifacts.reference import approval

    approved = approval(store, entry) if entry.on_hold else None
    artifact = named.get(entry.fingerprint)
    return {
        "name": entry.name,
        "number": entry.number,
        "stage": entry.stage,
        "fingerprint": entry.fingerprint,
        "digest": entry.digest,
        "time": entry.time,
        "rows": artifact.funnel.rows_out if artifact is not None else None,
        "on_hold": list(entry.on_hold),
        "approved": str(approved) if approved is not None else "",
    }


def _facts(artifact: "Artifact") -> dict[str, Any]:
    return {
        "stage": artifact.stage,
        "fingerprint": artifact.fingerprint,
        "digest": artifact.digest,
        "kind": artifact.kind,
        "rows_in": artifact.funnel.rows_in,
        "rows_out": artifact.funnel.rows_out,
        "reasons": dict(artifact.funnel.reasons),
        "files": len(artifact.files),
        "bytes": _size(artifact),
        "ended": artifact.manifest.ended,
    }


def _size(artifact: "Artifact") -> int:
    return sum(entry.size for entry in artifact.files.values())
