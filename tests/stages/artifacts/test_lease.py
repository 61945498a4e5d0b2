import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from stages.artifacts.activity import activity, leases_in_use, release_abandoned
from stages.artifacts.lease import Clock, Lease, acquire, append
from stages.artifacts.leaseholder import LeaseHolder, born, lease_log, this_host
from stages.artifacts.seal import sealed
from stages.store import Store, open_store

REQUEST = ("dedup", "ab" * 32)
FOLDER = "leases/dedup/" + "ab" * 32
SOMEBODY = LeaseHolder("t", "another-host boot pid:[1]", 1, 0.0, 0.0)


def never(holder: LeaseHolder) -> bool:
    raise AssertionError(f"waits for {holder}")


def leave(_: LeaseHolder) -> bool:
    return False


def take(store: Store, seconds: float = 60.0) -> Lease:
    lease = acquire(store, *REQUEST, never, seconds)
    assert lease is not None
    return lease


def record(store: Store, holder: LeaseHolder, number: int = 1) -> None:
    store.create(f"{FOLDER}/{number:08d}.json", sealed(asdict(holder)))


def me() -> LeaseHolder:
    return LeaseHolder("t", this_host(), os.getpid(), born(os.getpid()), time.time() + 60)


def test_one_holds_it_and_then_the_next(store: Store) -> None:
    with take(store):
        assert leases_in_use(store) == [FOLDER]
        assert acquire(store, *REQUEST, leave) is None
    assert leases_in_use(store) == []
    with take(store):
        assert len(list(store.list(FOLDER))) == 1


def test_another_request_is_another_lease(store: Store) -> None:
    with take(store):
        other = acquire(store, "dedup", "cd" * 32, never)
        assert other is not None
        assert len(leases_in_use(store)) == 2
        other.release()


def test_whoever_waits_hears_who_holds_it(store: Store) -> None:
    heard: list[LeaseHolder] = []
    with take(store):
        acquire(store, *REQUEST, lambda holder: bool(heard.append(holder)))
    assert (heard[0].pid, heard[0].host) == (os.getpid(), this_host())


def test_of_many_threads_one_at_a_time_holds_it(store: Store) -> None:
    inside = threading.Semaphore(1)
    order: list[int] = []

    def work(number: int) -> None:
        lease = acquire(store, *REQUEST, lambda _: True)
        assert lease is not None
        with lease:
            assert inside.acquire(blocking=False), "two hold it"
            order.append(number)
            inside.release()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(6)))
    assert sorted(order) == list(range(6))


def test_it_is_renewed_for_as_long_as_it_is_held(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    with take(store, seconds=6) as lease:
        while not store.exists(f"{FOLDER}/00000002.json"):
            assert not lease.lapsed()
            time.sleep(0.05)
        assert leases_in_use(store) == [FOLDER]


def test_a_holder_of_this_host_whose_process_is_gone_holds_no_more(store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    then = born(child.pid)
    child.wait()
    record(store, replace(me(), pid=child.pid, born=then))
    with take(store):
        pass


def test_a_killed_process_that_nobody_waited_for_holds_no_more(store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    record(store, replace(me(), pid=child.pid, born=born(child.pid)))
    assert acquire(store, *REQUEST, leave) is None
    child.send_signal(signal.SIGKILL)
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    with take(store):
        pass
    child.wait()


def test_a_process_that_got_a_dead_holders_id_does_not_hold(store: Store) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        record(store, replace(me(), pid=child.pid, born=born(child.pid) - 3600))
        with take(store):
            pass
        child.kill()


def test_what_an_earlier_attempt_of_this_process_left_is_taken_over(store: Store) -> None:
    record(store, me())
    with take(store):
        pass


# time


class PassedClock(Clock):
    """Time passes where somebody sleeps, or where a test says so; wall clocks say what they please."""

    def __init__(self, during_sleep: Callable[[float], None] = lambda _: None) -> None:
        self.now = 1000.0
        self.jump = 0.0
        self.during_sleep = during_sleep

    def watch(self) -> float:
        return self.now

    def age(self) -> float:
        return self.now

    def wall(self) -> float:
        return time.time() + self.jump

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.during_sleep(self.now)


YEAR = 366 * 86_400.0


@pytest.mark.parametrize("dated", [-YEAR, -1.0, 60.0, YEAR])
def test_another_hosts_lease_ends_a_minute_after_its_last_heartbeat_whatever_its_date(
    store: Store, dated: float
) -> None:
    clock = PassedClock()
    record(store, replace(SOMEBODY, until=time.time() + dated))
    heard: list[float] = []
    lease = acquire(store, *REQUEST, lambda _: heard.append(clock.now) or True, clock=clock)
    assert lease is not None
    with lease:
        assert 1058 < heard[-1] <= clock.now == pytest.approx(1060, abs=1)
        assert leases_in_use(store) == [FOLDER]


def test_heartbeats_of_another_host_hold_it_whatever_their_dates() -> None:
    """A beat every twenty seconds for ten minutes, by a clock that jumps to and fro by years."""
    store = open_store(f"memory://{uuid.uuid4().hex}")
    beats = [1]

    def beat(now: float) -> None:
        if now > 1000 + 20 * len(beats) and len(beats) <= 30:
            until = time.time() + (YEAR if len(beats) % 2 else -YEAR)
            assert append(lease_log(store, FOLDER), len(beats) + 1, replace(SOMEBODY, until=until))
            beats.append(len(beats) + 1)

    clock = PassedClock(beat)
    record(store, replace(SOMEBODY, until=1.0))
    lease = acquire(store, *REQUEST, lambda _: True, clock=clock)
    assert lease is not None
    with lease:
        assert clock.now == pytest.approx(1000 + 30 * 20 + 60, abs=3)


@pytest.mark.parametrize("jump", [-YEAR, YEAR])
def test_the_clocks_jump_is_nothing_to_a_holder(store: Store, jump: float) -> None:
    clock = PassedClock()
    lease = acquire(store, *REQUEST, never, clock=clock)
    assert lease is not None
    with lease:
        clock.jump = jump
        lease._write(clock.wall() + 60)
        assert not lease.lapsed()
        assert leases_in_use(store) == [FOLDER]
        assert acquire(store, *REQUEST, leave, clock=clock) is None


def test_a_process_keeps_its_birth_when_the_clock_is_set(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        record(store, replace(me(), pid=child.pid, born=born(child.pid)))
        # psutil derives births from the time of the boot, which the kernel derives from the clock.
        monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: time.time() + YEAR)
        assert acquire(store, *REQUEST, leave) is None
        child.kill()


def test_a_lease_that_was_not_renewed_in_time_has_lapsed_for_good(store: Store) -> None:
    clock = PassedClock()
    lease = acquire(store, *REQUEST, never, clock=clock)
    assert lease is not None
    clock.now += 61
    (newest,) = store.list(FOLDER)
    assert append(lease_log(store, FOLDER), 2, replace(SOMEBODY, until=time.time()))
    assert not store.exists(newest.key)
    assert lease.lapsed()
    lease.release()
    assert leases_in_use(store) == [FOLDER], "a release after that is none of the new holder's business"


def test_who_was_stopped_and_takes_a_number_of_the_past_has_lost(store: Store) -> None:
    """The lease has gone on from 1 to 4 while somebody who saw 1 was stopped: 2 is free again, and stale."""
    log = lease_log(store, FOLDER)
    for number in range(1, 5):
        assert append(log, number, SOMEBODY if number < 4 else me())
    assert not append(log, 2, SOMEBODY)
    assert log.numbers() == [4]


def test_a_heartbeat_that_seemed_to_fail_is_ones_own(store: Store) -> None:
    lease = take(store)
    with lease:
        assert append(lease._log, 2, replace(lease._holder, until=time.time()))  # and its answer was lost
        lease._write(time.time() + 60)
        lease._write(time.time() + 60)
        assert not lease.lapsed()
        assert lease._log.last() == 3


# damage


def changed(**fields: object) -> bytes:
    return sealed(asdict(SOMEBODY) | fields)


DAMAGED = [
    b"",
    b"{",
    b"[]",
    b"{}",
    b'"x"',
    b"\xff\xfe",
    changed(pid=-1),
    changed(until="x"),
    changed(host=""),
]


@pytest.mark.parametrize("data", DAMAGED)
def test_a_damaged_record_counts_as_somebodys_until_nothing_follows_it(tmp_path: Path, data: bytes) -> None:
    store, clock = open_store(str(tmp_path)), PassedClock()
    assert store.create(f"{FOLDER}/00000007.json", data)
    assert leases_in_use(store) == [FOLDER]
    (words,) = activity(store, watch=0).damaged
    assert f"{FOLDER}/00000007.json" in words
    assert "or delete it if nobody works on that" in words
    heard: list[str] = []
    lease = acquire(store, *REQUEST, lambda holder: heard.append(str(holder)) or True, clock=clock)
    assert lease is not None
    with lease:
        assert set(heard) == {"somebody unknown"}
        assert clock.now >= 1060
        assert activity(store, watch=0).damaged == ()


# who is at work in a store


def test_leases_that_nobody_renews_are_abandoned_and_others_held(store: Store) -> None:
    """A vanished host's, another's that goes on, and one of this process."""
    vanished, beating = f"leases/train/{'cd' * 32}", f"leases/train/{'ef' * 32}"
    for folder in (vanished, beating):
        append(lease_log(store, folder), 1, replace(SOMEBODY, until=time.time() + YEAR))

    def beat(now: float) -> None:
        if now > 1020 and lease_log(store, beating).last() == 1:
            append(lease_log(store, beating), 2, replace(SOMEBODY, until=1.0))

    with take(store):
        clock = PassedClock(beat)
        assert leases_in_use(store) == sorted([FOLDER, vanished, beating])
        work = activity(store, clock=clock)
        assert work.in_use == (FOLDER, beating)
        assert work.abandoned == ((vanished, 1),)
        assert release_abandoned(store, work.abandoned) == []
        assert release_abandoned(store, [(beating, 1)]) == [beating]
        assert leases_in_use(store) == [FOLDER, beating]


# processes


HOLDING = """
import sys
from stages.artifacts.lease import acquire
from stages.store import open_store
with acquire(open_store(sys.argv[1]), sys.argv[2], sys.argv[3], lambda _: True):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holding(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLDING, str(folder), *REQUEST]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_waited_for(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    process = holding(tmp_path)
    waited: list[LeaseHolder] = []

    def let_go(holder: LeaseHolder) -> bool:
        assert process.stdin is not None
        if not waited:
            process.stdin.write("\n")
            process.stdin.flush()
        waited.append(holder)
        return True

    lease = acquire(store, *REQUEST, let_go)
    assert lease is not None
    lease.release()
    assert waited[0].pid == process.pid
    process.communicate()


def test_a_second_process_that_was_killed_is_not_waited_for(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    process = holding(tmp_path)
    assert acquire(store, *REQUEST, leave) is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with take(store):
        pass
