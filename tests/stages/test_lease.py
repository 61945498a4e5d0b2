import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import psutil

from stages.lease import Holder, Lease, acquire, held, this_host
from stages.seal import sealed, unsealed
from stages.store import Store, open_store

REQUEST = ("dedup", "ab" * 32)
FOLDER = "leases/dedup/" + "ab" * 32
SOMEBODY = Holder("t", "another-host boot pid:[1]", 1, 0.0, 0.0)


def never(holder: Holder) -> bool:
    raise AssertionError(f"waits for {holder}")


def leave(_: Holder) -> bool:
    return False


def take(store: Store, seconds: float = 60.0) -> Lease:
    lease = acquire(store, *REQUEST, never, seconds)
    assert lease is not None
    return lease


def record(store: Store, holder: Holder, number: int = 1) -> None:
    store.create(f"{FOLDER}/{number:08d}.json", sealed(asdict(holder)))


def me() -> Holder:
    return Holder("t", this_host(), os.getpid(), psutil.Process().create_time(), time.time() + 60)


def test_one_holds_it_and_then_the_next(store: Store) -> None:
    with take(store):
        assert held(store) == [FOLDER]
        assert acquire(store, *REQUEST, leave) is None
    assert held(store) == []
    with take(store):
        assert len(list(store.list(FOLDER))) == 1


def test_another_request_is_another_lease(store: Store) -> None:
    with take(store):
        other = acquire(store, "dedup", "cd" * 32, never)
        assert other is not None
        assert len(held(store)) == 2
        other.release()


def test_whoever_waits_hears_who_holds_it(store: Store) -> None:
    heard: list[Holder] = []
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
        assert held(store) == [FOLDER]


def test_another_hosts_lease_stands_until_it_expires(store: Store) -> None:
    record(store, replace(SOMEBODY, until=time.time() + 60))
    assert acquire(store, *REQUEST, leave) is None
    record(store, replace(SOMEBODY, until=time.time() - 1), number=2)
    with take(store):
        assert held(store) == [FOLDER]


def test_a_holder_of_this_host_whose_process_is_gone_holds_no_more(store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    born = psutil.Process(child.pid).create_time()
    child.wait()
    record(store, replace(me(), pid=child.pid, born=born))
    with take(store):
        pass


def test_a_killed_process_that_nobody_waited_for_holds_no_more(store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    record(store, replace(me(), pid=child.pid, born=psutil.Process(child.pid).create_time()))
    assert acquire(store, *REQUEST, leave) is None
    child.send_signal(signal.SIGKILL)
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    with take(store):
        pass
    child.wait()


def test_a_process_that_got_a_dead_holders_id_does_not_hold(store: Store) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        record(store, replace(me(), pid=child.pid, born=psutil.Process(child.pid).create_time() - 3600))
        with take(store):
            pass
        child.kill()


def test_what_an_earlier_attempt_of_this_process_left_is_taken_over(store: Store) -> None:
    record(store, me())
    with take(store):
        pass


def test_a_lease_that_was_not_renewed_in_time_has_lapsed_for_good(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    lease = take(store, seconds=30)
    lease._holder = replace(lease._holder, until=time.time() - 1)
    with take_over(store) as other:
        assert lease.lapsed()
        lease.release()
        assert held(store) == [FOLDER], "a release after that is none of the new holder's business"
        assert not other.lapsed()


def take_over(store: Store) -> Lease:
    """As a process on another host would, by the clock."""
    (newest,) = store.list(FOLDER)
    holder = Holder(**unsealed(store.read(newest.key), newest.key))
    store.delete([newest.key])
    record(store, replace(holder, host=SOMEBODY.host, until=time.time() - 1), int(newest.key[-13:-5]))
    return take(store)


HOLDING = """
import sys
from stages.lease import acquire
from stages.seal import sealed, unsealed
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
    waited: list[Holder] = []

    def let_go(holder: Holder) -> bool:
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
