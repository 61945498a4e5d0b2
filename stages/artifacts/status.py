"""Status: how far a stage at work is, as a record in the store that whoever reaches the store can read.

Work under Prefect, without it and on other machines shows alike that way. Nothing of a status enters
fingerprints, digests or manifests, and nothing is decided by it: who is at work is told by leases.

An object of a store never changes once it is there, so the newest status is the highest of a row of numbered
records, ``status/STAGE/FINGERPRINT/00000012.json``. Each is put create-only, and the one before it deleted,
as leases do: so folders and buckets keep their one way of writing, two attempts at once cannot spoil each
other's record, and a reader meets a whole status or, between listing and reading, none and looks again.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from stages.artifacts.activity import heartbeat
from stages.artifacts.lease import CLOCK, SECONDS, Clock
from stages.artifacts.loss_curve import POINTS, LossCurve, Point
from stages.artifacts.manifest import Funnel
from stages.artifacts.seal import sealed, unsealed
from stages.errors import DamagedError
from stages.foreign_text import escape
from stages.reporter import Wait
from stages.store import NumberedLog, Store


@dataclass(frozen=True)
class TrainingStatus:
    """What a training last said of itself."""

    losses: Mapping[str, float | None]
    """By name: "loss" of the last batches, "validation" once it was measured. None: it is not finite."""
    images_per_second: float | None
    """Of all processes, lately."""
    seconds_left: float | None
    curves: Mapping[str, tuple[Point, ...]] = field(default_factory=dict[str, tuple[Point, ...]])
    """By the same names, (images seen, value) from the beginning until now: thinned, `POINTS` at most."""

    @classmethod
    def of(
        cls,
        losses: Mapping[str, float],
        images_per_second: float,
        seconds_left: float,
        curves: Mapping[str, LossCurve] | None = None,
    ) -> "TrainingStatus":
        """As a record can say it: JSON knows finite numbers alone."""
        finite = {name: _finite(loss) for name, loss in losses.items()}
        points = {name: curve.points for name, curve in (curves or {}).items() if curve.points}
        return cls(finite, _finite(images_per_second), _finite(seconds_left), points)


@dataclass(frozen=True, kw_only=True)
class Status:
    """A stage at work. Texts are escaped, bounded and without secrets."""

    stage: str
    fingerprint: str
    run: str
    """The name that people know the run by; "" where the stage was called outside one."""
    host: str
    started: str
    """When this attempt began, ISO 8601, by the clock of `host`."""
    updated: str
    """When this was so, likewise."""
    done: int
    total: int
    """Units of the stage's own choosing; 0: it cannot say."""
    unit: str
    """What is counted, "parts" or "images"; "" where the stage does not say."""
    note: str
    per_second: float | None
    """Units per second over the last minute; None until some were done."""
    parts_made: int
    parts_found: int
    parts_total: int
    """Parts of this attempt that were made, that were found finished, and that it knows of in all."""
    funnel: Funnel | None
    """So far: the sum of its parts' funnels; None where no part has one."""
    training: TrainingStatus | None
    wait: Wait | None
    """What it waits for at this moment."""
    warnings: int
    stale_since: str = ""
    """Where nobody is at work on it any more: when it was last heard of, ISO 8601, by the store's clock.
    `running` says it; it is no part of the record."""

    @property
    def seconds_left(self) -> float | None:
        """Until all is done, as a training says or by the speed of the last minute; None: nobody knows."""
        if self.training is not None and self.training.seconds_left is not None:
            return self.training.seconds_left
        return (self.total - self.done) / self.per_second if self.per_second and self.total else None

    def to_json(self) -> bytes:
        record = asdict(self)
        del record["stale_since"]
        return sealed(record)

    @classmethod
    def parse(cls, data: bytes, name: str = "a status") -> "Status":
        """A record as it was written. DamagedError: it is another; `name` is what the message calls it."""
        raw = unsealed(data, name)
        texts = ("stage", "fingerprint", "run", "host", "started", "updated", "unit", "note")
        numbers = ("done", "total", "parts_made", "parts_found", "parts_total", "warnings")
        if any(type(raw[number]) is not int or raw[number] < 0 for number in numbers):
            raise ValueError(f"a count is none: { ({number: raw[number] for number in numbers}) }")
        wait = raw["wait"]
        return cls(
            **{text: escape(raw[text]) for text in texts},
            **{number: raw[number] for number in numbers},
            per_second=_number(raw["per_second"]),
            funnel=Funnel(**raw["funnel"]) if raw["funnel"] else None,
            training=_training(raw["training"]) if raw["training"] else None,
            wait=Wait(**{field: escape(words) for field, words in wait.items()}) if wait else None,
        )


def status_log(store: Store, stage: str, fingerprint: str) -> NumberedLog[Status]:
    """The records of one stage at work; the highest counts."""
    return _log(store, f"status/{stage}/{fingerprint}")


def running(store: Store, clock: Clock = CLOCK) -> list[Status]:
    """What runs in a store, and what was left by processes that died, by stage and fingerprint.

    Another host's process counts as at work while the newest record of its lease is younger than a lease
    stands without a heartbeat. That compares the store's clock with this host's, which is good enough for
    people who look; what deletes something watches leases instead (`stages.artifacts.activity`).

    Args:
        store: where.
        clock: of this host; `wall` is asked.

    Returns:
        Of each the newest status; `stale_since` of those at work is "". Records that are damaged are passed
        over, as `sdflow verify` names them.
    """
    folders = sorted({listed.key.rpartition("/")[0] for listed in store.list("status")})
    statuses = (_newest(store, folder, clock) for folder in folders)
    return [status for status in statuses if status is not None]


def _log(store: Store, folder: str) -> NumberedLog[Status]:
    return NumberedLog(store, folder, "status", Status.parse, ", or delete it: nothing is lost with it")


def _newest(store: Store, folder: str, clock: Clock) -> Status | None:
    """The status of one stage with what its lease says; None where there is none that can be read."""
    log = _log(store, folder)
    while number := log.last():
        try:
            status = log.record(number)
            break
        except DamagedError:
            return None
        except FileNotFoundError:  # renewed, or ended, between listing and reading: look again
            continue
    else:
        return None
    beat = heartbeat(store, f"leases/{folder.removeprefix('status/')}")
    if beat.alive or (beat.alive is None and beat.time and clock.wall() - beat.time.timestamp() < SECONDS):
        return status
    times = [listed.modified for listed in store.list(folder)]
    if not times:  # it has ended meanwhile
        return None
    last = max(times if beat.time is None else [*times, beat.time])
    return replace(status, stale_since=last.astimezone(UTC).isoformat(timespec="seconds"))


def iso(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _training(raw: Mapping[str, Any]) -> TrainingStatus:
    losses = {escape(name): _number(loss) for name, loss in raw["losses"].items()}
    curves = {escape(name): _curve(points) for name, points in raw.get("curves", {}).items()}
    return TrainingStatus(losses, _number(raw["images_per_second"]), _number(raw["seconds_left"]), curves)


def _curve(raw: Sequence[Any]) -> tuple[Point, ...]:
    """A curve of a record. ValueError, TypeError: it is none, or longer than one is."""
    points = tuple((images, _number(value)) for images, value in raw)
    if len(points) > POINTS or any(type(images) is not int for images, _ in points):
        raise ValueError("a curve is none of a status")
    return points


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: Any) -> float | None:
    """A finite number of a record, or None. ValueError, TypeError: it is something else."""
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{value!r} is no number that a status has")
    return None if value is None else float(value)
