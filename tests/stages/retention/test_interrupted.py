"""Retention that dies at any of its changes and is repeated, or has company: itself, gc, a run."""

import threading
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest

from stages.artifacts.artifact import artifacts
from stages.artifacts.dropping import LEASE
from stages.artifacts.gc import collect_garbage
from stages.artifacts.lease import acquire
from stages.artifacts.reference import refer, references
from stages.artifacts.tombstone import tombstones
from stages.config.retention import RetainConfig
from stages.errors import RetryableError
from stages.retention.retain import retain
from stages.store import Store, open_store
from tests.stages.retention.birds import Seed, dataset_of, encode, model_of, refreshed
from tests.stages.retention.test_retain import check_consistent
from tests.stages.test_crash import Crash, Watched

NOW = timedelta(0)


class Interrupted(Watched):
    """A store of which each change goes through `around`; what only reads does not."""

    def create(self, key: str, data: bytes) -> bool:
        return self.around(key, lambda: self.store.create(key, data))

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.around(key, lambda key=key: self.store.delete([key]))

    read, exists, list = (
        lambda self, *arguments: self.store.read(*arguments),
        lambda self, key: self.store.exists(key),
        lambda self, prefix: self.store.list(prefix),
    )


def filled() -> Store:
    store = open_store(f"memory://{uuid.uuid4().hex}")
    made = refreshed(store, 3)
    model = model_of(store, made[0])
    encode(made[0], model, Seed(), store=store)
    return store


def drop(store: Store, last: int = 1) -> None:
    retain(store, ["datasets/birds"], RetainConfig(last=last), grace=NOW, watch=0)


def state(store: Store) -> tuple[set[str], set[str], list[int]]:
    """What is left of records that do not differ from one store to another."""
    left = {f"{artifact.stage}/{artifact.fingerprint}" for artifact in artifacts(store)}
    buried = {tombstone.key for tombstone in tombstones(store)}
    return left, buried, [entry.number for entry in references(store, "datasets/birds")]


@pytest.mark.matrix
def test_it_dies_at_any_change_and_the_next_call_ends_what_it_began():
    undisturbed, changes = filled(), 0

    def counted(_: str, operation: Callable[[], Any]) -> Any:
        nonlocal changes
        changes += 1
        return operation()

    drop(Interrupted(undisturbed, counted))
    expected = state(undisturbed)
    for at in range(1, changes + 1):
        store, count = filled(), 0

        def dying(_: str, operation: Callable[[], Any], at: int = at) -> Any:
            nonlocal count
            count += 1
            if count >= at and not at % 2:
                raise Crash
            done = operation()
            if count >= at:
                raise Crash
            return done

        with pytest.raises(Crash):
            drop(Interrupted(store, dying))
        # Whatever is there has all that it needs, at once and after a sweep.
        for _ in range(2):
            for artifact in artifacts(store):
                assert artifact.verify() == []
                for ancestor in artifact.ancestors():
                    assert ancestor.dropped is not None or ancestor.verify() == []
            collect_garbage(store, grace=NOW, watch=0)
        drop(store)
        assert state(store) == expected, at
        check_consistent(store)


def test_what_was_begun_is_not_ended_where_somebody_needs_it_since():
    store = filled()
    images = references(store, "images/birds")[0]

    def dying(key: str, operation: Callable[[], Any]) -> Any:
        done = operation()
        if key.startswith("tombstones/shard"):
            raise Crash
        return done

    with pytest.raises(Crash):
        drop(Interrupted(store, dying))
    refer(store, "images/gold", images.open(store))
    drop(store, 3)
    assert images.open(store).read("images.parquet")
    check_consistent(store)


def test_twice_at_once_and_beside_gc():
    store = filled()
    failures: list[BaseException] = []

    def attempt(act: Callable[[], object]) -> None:
        try:
            act()
        except RetryableError:
            pass
        except BaseException as error:  # noqa: BLE001 -- shown by the test
            failures.append(error)

    acts = [lambda: drop(store)] * 3 + [lambda: collect_garbage(store, grace=NOW, watch=0)] * 2
    threads = [threading.Thread(target=attempt, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    drop(store)
    collect_garbage(store, grace=NOW, watch=0)
    check_consistent(store)
    assert [entry.number for entry in references(store, "datasets/birds")] == [3]


def use_meanwhile(at: int, use: str) -> int:
    """Have another run begin on the version that goes, after change number `at`; the number of changes."""
    store = filled()
    version = references(store, "datasets/birds")[0].open(store)
    changes, refused = 0, False

    def meanwhile(_: str, operation: Callable[[], Any]) -> Any:
        nonlocal changes, refused
        done = operation()
        changes += 1
        if changes == at:
            try:
                if use == "named":
                    refer(store, "datasets/gold", version)
                else:
                    encode(version, None, Seed(seed=5), store=store)
            except (RetryableError, ValueError):
                refused = True
        return done

    drop(Interrupted(store, meanwhile))
    check_consistent(store)
    gold = references(store, "datasets/gold")
    assert bool(gold) == (use == "named" and not refused)
    for entry in gold:
        assert entry.open(store).read("shards/0.tar")
    return changes


@pytest.mark.matrix
@pytest.mark.parametrize("use", ["read", "named"])
def test_whoever_comes_to_use_something_while_it_is_dropped_keeps_it_or_is_refused(use: str):
    at = 1
    while use_meanwhile(at, use) > at:
        at += 1
    assert at > 20


def test_another_that_is_at_work_is_waited_for_by_nobody():
    store = filled()
    for stage, words in ((LEASE, "somebody drops versions"), (("purge", "all"), "somebody purges")):
        lease = acquire(store, *stage, lambda holder: False)
        assert lease is not None
        with lease, pytest.raises(RetryableError, match=words):
            drop(store)
    drop(store)
    assert dataset_of(store, references(store, "images/birds")[-1].open(store)).cached
