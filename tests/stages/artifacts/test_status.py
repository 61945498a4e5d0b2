"""A status as a record, and what readers make of those that lie in a store."""

import math
import os
import time
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.artifacts.artifact import Funnel
from stages.artifacts.lease import SECONDS, Clock, acquire
from stages.artifacts.leaseholder import LeaseHolder, born, this_host
from stages.artifacts.loss_curve import POINTS, LossCurve
from stages.artifacts.seal import sealed
from stages.artifacts.status import Status, TrainingStatus, running, status_log
from stages.errors import DamagedError
from stages.foreign_text import SHOWN, escape
from stages.reporter import Wait
from stages.store import Store

REQUEST = ("dedup", "ab" * 32)
LEASE = f"leases/{REQUEST[0]}/{REQUEST[1]}"
AT_WORK = Status(
    stage=REQUEST[0], fingerprint=REQUEST[1], run="birds", host="a-host", started="2026-01-01T00:00:00Z",
    updated="2026-01-01T00:01:00Z", done=30, total=90, unit="parts", note="round 2", per_second=0.5,
    parts_made=10, parts_found=20, parts_total=90, funnel=Funnel(9, 8, {"too_small": 1}), training=None,
    wait=Wait("h.org", "03:12:40 UTC", "it asked us to wait"), warnings=2,
)  # fmt: skip


class Later(Clock):
    """Some seconds from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def wall(self) -> float:
        return time.time() + self.seconds


def leave(store: Store, status: Status = AT_WORK, number: int = 1) -> None:
    assert status_log(store, status.stage, status.fingerprint).append(number, status.to_json())


def hold(store: Store, holder: LeaseHolder) -> None:
    assert store.create(f"{LEASE}/00000001.json", sealed(asdict(holder)))


counts, texts = st.integers(0, 10**12), st.text(max_size=40)
finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=50)
@given(
    counts=st.tuples(counts, counts, counts),
    note=texts,
    speed=st.none() | finite,
    losses=st.dictionaries(st.sampled_from(["loss", "validation"]), st.floats()),
    curve=st.lists(st.floats(), max_size=9),
    wait=st.none() | st.builds(Wait, *[st.sampled_from(["a.org", "03:12 UTC", ""])] * 4),
    reasons=st.none() | st.dictionaries(st.sampled_from(["too_small", "timeout"]), counts),
)
def test_what_was_written_is_read(counts, note, speed, losses, curve, wait, reasons) -> None:
    drawn = LossCurve()
    for images, value in enumerate(curve):
        drawn.add(images, value)
    status = replace(
        AT_WORK, done=counts[0], total=counts[1], parts_made=counts[2], note=escape(note), per_second=speed,
        training=TrainingStatus.of(losses, math.inf, math.nan, {"loss": drawn}), wait=wait,
        funnel=None if reasons is None else Funnel(sum(reasons.values()) + 1, 1, reasons),
    )  # fmt: skip
    assert Status.parse(status.to_json()) == status


def test_a_status_of_before_there_were_curves_is_read() -> None:
    record = asdict(replace(AT_WORK, training=TrainingStatus({"loss": 0.5}, 8.0, 7.0)))
    del record["stale_since"], record["training"]["curves"]
    assert Status.parse(sealed(record)).training == TrainingStatus({"loss": 0.5}, 8.0, 7.0)


@pytest.mark.parametrize("curve", [((0.5, 1.0),), ((1, "x"),), ((1,),), ((1, 1.0),) * (POINTS + 1)])
def test_what_is_no_curve_is_damage(store: Store, curve: tuple[tuple[int, float], ...]) -> None:
    log = status_log(store, *REQUEST)
    log.append(1, replace(AT_WORK, training=TrainingStatus({}, 8.0, 7.0, {"loss": curve})).to_json())
    with pytest.raises(DamagedError):
        log.record(1)
    assert running(store) == []


def test_strangers_text_in_a_record_is_bounded_and_harmless() -> None:
    hostile = replace(AT_WORK, note="\x1b[31m" + "x" * 10**6, wait=Wait("\u202eh", "y" * 10**6), host="a\nb")
    status = Status.parse(hostile.to_json())
    assert len(status.note) <= SHOWN
    assert status.note.startswith(r"\x1b[31m")
    assert status.host == r"a\nb"
    assert status.wait is not None
    assert status.wait.subject == r"\u202eh"
    assert len(status.wait.until) <= SHOWN


@pytest.mark.parametrize(
    "change", [{"done": -1}, {"total": "9"}, {"warnings": True}, {"per_second": math.nan}]
)
def test_what_is_no_status_is_damaged(store: Store, change: dict[str, object]) -> None:
    record = {**asdict(AT_WORK), **change}
    del record["stale_since"]
    log = status_log(store, *REQUEST)
    log.append(1, sealed(record))
    with pytest.raises(DamagedError, match="is no status that this version reads"):
        log.record(1)
    assert running(store) == []


@pytest.mark.parametrize(
    ("change", "seconds"),
    [
        ({}, 120.0),
        ({"per_second": None}, None),
        ({"total": 0}, None),
        ({"training": TrainingStatus.of({}, 8.0, 7.0)}, 7.0),
        ({"training": TrainingStatus.of({}, 8.0, math.nan)}, 120.0),
    ],
)
def test_how_long_it_takes(change: dict[str, object], seconds: float | None) -> None:
    assert replace(AT_WORK, **change).seconds_left == seconds


def test_the_newest_of_who_holds_a_lease_is_at_work(store: Store) -> None:
    for number in (1, 2, 11):
        leave(store, replace(AT_WORK, done=number), number)
    lease = acquire(store, *REQUEST, lambda _: False)
    assert lease is not None
    with lease:
        assert running(store) == [replace(AT_WORK, done=11)]
    (stale,) = running(store)
    assert stale.stale_since
    assert replace(stale, stale_since="") == replace(AT_WORK, done=11)


def test_without_a_lease_it_is_stale_since_it_was_written(store: Store) -> None:
    leave(store)
    (listed,) = store.list("status")
    (stale,) = running(store)
    assert stale.stale_since[:19] == listed.modified.isoformat()[:19]


def test_a_dead_process_of_this_host_is_stale_at_once(store: Store) -> None:
    leave(store)
    hold(store, LeaseHolder("t", this_host(), os.getpid(), born(os.getpid()) + 1, 1.0))
    (status,) = running(store)
    assert status.stale_since


@pytest.mark.parametrize(("after", "stale"), [(0.0, False), (SECONDS * 2, True)])
def test_another_hosts_is_at_work_while_its_lease_is_young(store: Store, after: float, stale: bool) -> None:
    leave(store)
    hold(store, LeaseHolder("t", "another-host boot pid:[1]", 1, 0.0, 1.0))
    (status,) = running(store, Later(after))
    assert bool(status.stale_since) is stale


def test_a_clean_store_runs_nothing(store: Store) -> None:
    assert running(store) == []
