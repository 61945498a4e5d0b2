"""Expectations: whether a dataset's version is what its run expects (a data quality gate).

A version is judged once, when it is filed under its name; its verdict stands beside it. What follows:

* The same run again neither files it anew nor judges it again.
* A version that was let through, by its run or by an approval, stays so: stricter limits are for the next.
* A version on hold whose run expects something else is judged again: limits that it meets file it under the
  next number, which is not on hold.
* Outside a run nothing is expected; what is on hold stays so.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import ON_HOLD, Reference, is_released, refer, references, released
from stages.collect.report.diff import diff
from stages.collect.report.views import views
from stages.config.expectations import ExpectConfig
from stages.errors import DamagedError
from stages.fingerprint import JSON, canonical_config, fingerprint_of, short_hash
from stages.store import Store

EXPECTED = "expected"
"""Key of an entry's note: which expectations put its version on hold, the beginning of their hash."""
ROWS = 100_000
"""Rows of the table of scores that are looked at together."""
SHOWN = 3
"""Reasons for lost pictures that are named, the most frequent."""


def refer_judged(store: Store, name: str, dataset: Artifact, expect: ExpectConfig | None) -> Reference:
    """File a dataset under its name, on hold where it is not what is expected.

    Args:
        store: where the history is.
        name: "datasets/birds".
        dataset: of shard.
        expect: what the run expects; None outside a run.
    """
    history = references(store, name)
    same = [entry for entry in history if entry.fingerprint == dataset.fingerprint]
    through = [entry for entry in same if is_released(store, entry)]
    if through:
        return through[-1] if through[-1] == history[-1] else refer(store, name, dataset)
    if expect is None or (same and same[-1].note.get(EXPECTED) == _hash(expect)):
        return refer(store, name, dataset, same[-1].note if same else None)
    reasons = unmet(dataset, next(released(store, name), None), expect)
    note: Mapping[str, JSON] = {ON_HOLD: list(reasons), EXPECTED: _hash(expect)}
    return refer(store, name, dataset, note if reasons else None)


def unmet(dataset: Artifact, previous: Reference | None, expect: ExpectConfig) -> tuple[str, ...]:
    """The expectations that a version of a dataset does not meet.

    Args:
        dataset: of shard.
        previous: the version before it that is not on hold; None for the first. It is compared with only
            where both are of one config: what was changed was changed on purpose.
        expect: the limits.

    Returns:
        A sentence for each, with value and limit; empty where all are met. Where the version before cannot
        be read, that is one of them.
    """
    sentences = list(_counted(dataset, expect))
    compared = (expect.max_loss, expect.max_change, expect.max_drift)
    if previous is not None and any(limit is not None for limit in compared):
        try:
            before = previous.open(dataset.store)
            if line_config(before) == line_config(dataset):
                sentences += _compared(dataset, before, str(previous), expect)
        except (ValueError, DamagedError) as error:
            sentences.append(f"it cannot be compared with {previous}: {error}")
    return tuple(sentences)


def line_config(dataset: Artifact) -> Mapping[str, JSON]:
    """Everything that a person chose of a dataset, by stage; not what the sources held, nor the edition.

    ValueError: an artifact that it was made from is not in the store."""
    line = _line(dataset)
    configs: dict[str, dict[str, JSON]] = {stage: dict(each.config) for stage, each in line.items()}
    configs["collect"].pop("edition", None)
    clip = line["score"].manifest.inputs["clip"]  # the config's names of it are neutral
    return {**configs, "clip": clip["digest"] if clip else None}


def _line(dataset: Artifact) -> Mapping[str, Artifact]:
    """A dataset and what it was made from, by stage."""
    selection = _input(dataset, "selection")
    return {
        "collect": _input(dataset, "images"),
        "dedup": _input(selection, "duplicates"),
        "score": _input(selection, "scores"),
        "filter": selection,
        "shard": dataset,
    }


def _input(artifact: Artifact, name: str) -> Artifact:
    source = artifact.input(name)
    assert source is not None, f"{artifact.short_name} has no {name}"
    return source


def _counted(dataset: Artifact, expect: ExpectConfig) -> Iterator[str]:
    """What the funnels of its own line say."""
    rows = dataset.funnel.rows_out
    if rows < expect.min_rows:
        yield f"{rows:,} pictures, fewer than min_rows={expect.min_rows}"
    if expect.min_success is None and not expect.max_reasons:
        return
    line = _line(dataset)
    collected = line["collect"].funnel
    success = _share(collected.rows_out, collected.rows_in)
    if expect.min_success is not None and success < expect.min_success:
        yield (
            f"collect brought pictures for {collected.rows_out:,} of {collected.rows_in:,} rows "
            f"({success:.1%}), less than min_success={expect.min_success}"
        )
    for reason, limit in sorted(expect.max_reasons.items()):
        for stage in ("collect", "filter", "shard"):
            funnel = line[stage].funnel
            left_out = funnel.reasons.get(reason, 0)
            share = _share(left_out, funnel.rows_in)
            if share > limit:
                yield (
                    f"{stage} left out {left_out:,} of {funnel.rows_in:,} rows ({share:.1%}) as {reason}, "
                    f"more than max_reasons.{reason}={limit}"
                )


def _compared(dataset: Artifact, before: Artifact, called: str, expect: ExpectConfig) -> Iterator[str]:
    """What a comparison with the version before says."""
    if expect.max_loss is not None or expect.max_change is not None:
        difference = diff(before, dataset)
        rows, rows_before = dataset.funnel.rows_out, before.funnel.rows_out
        lost = sum(difference.removed.values())
        loss = _share(lost, rows_before)
        if expect.max_loss is not None and loss > expect.max_loss:
            frequent = sorted(difference.removed.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
            why = ", ".join(f"{count:,} {reason}" for reason, count in frequent)
            yield (
                f"lost {lost:,} of {rows_before:,} pictures ({loss:.1%}) since {called}, more than "
                f"max_loss={expect.max_loss} ({why})"
            )
        other = difference.added + difference.changed + difference.captions_changed
        change = _share(other, rows)
        if expect.max_change is not None and change > expect.max_change:
            yield (
                f"{other:,} of {rows:,} pictures ({change:.1%}) are new, or have other bytes or captions "
                f"than in {called}, more than max_change={expect.max_change}"
            )
    if expect.max_drift is not None:
        directions = mean_direction(before), mean_direction(dataset)
        if directions[0] is not None and directions[1] is not None:
            drift = 1 - float(directions[0] @ directions[1])
            if drift > expect.max_drift:
                yield (
                    f"the mean embedding has drifted by {drift:.3g} (cosine distance) since {called}, more "
                    f"than max_drift={expect.max_drift}"
                )


def mean_direction(dataset: Artifact) -> NDArray[np.float64] | None:
    """The mean embedding of a dataset's pictures by its run's CLIP, (D,) of length 1.

    None: the run has no CLIP, or the embeddings cancel out. A picture that was taken down and purged has an
    embedding of zeros, which says nothing of any direction.
    """
    scores = _line(dataset)["score"]
    if not scores.statistics["clip"]:
        return None
    total: Any = 0.0
    with views({}) as db:
        scores.scan(db, "scores")
        dataset.scan(db, "index", "pictures")
        query = 'SELECT file, "index" FROM scores SEMI JOIN pictures USING (uid) ORDER BY file, "index"'
        for batch in db.sql(query).to_arrow_reader(ROWS):
            files = batch.column("file").dictionary_encode()
            codes, rows = files.indices.to_numpy(), batch.column("index").to_numpy()
            for code, file in enumerate(files.dictionary.to_pylist()):
                embeddings = np.load(scores.path(file), mmap_mode="r")
                total = total + embeddings[rows[codes == code]].sum(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(total))
    return total / length if length else None


def _share(rows: int, of: int) -> float:
    return rows / of if of else 0.0


def _hash(expect: ExpectConfig) -> str:
    return short_hash(fingerprint_of(canonical_config(expect)))
