import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from stages.artifacts.artifact import Artifact, Funnel
from stages.artifacts.names import check_name
from stages.artifacts.reference import names, refer, references, resolve
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import Store, open_store


@dataclass(frozen=True, kw_only=True)
class Config:
    text: str = ""


@stage(version=1, kind="word")
def word(config: Config, out: Output) -> Stats:
    out.write("word.txt").write_text(config.text)
    return Stats(Funnel(1, 1))


def made(store: Store, text: str) -> Artifact:
    return word(Config(text=text), store=store)


def test_a_name_has_a_history(store: Store) -> None:
    one, two = made(store, "one"), made(store, "two")
    assert str(refer(store, "datasets/demo", one)) == "datasets/demo@1"
    assert str(refer(store, "datasets/demo", two, {"run": "a"})) == "datasets/demo@2"
    assert str(refer(store, "datasets/other", one)) == "datasets/other@1"
    assert [entry.number for entry in references(store, "datasets/demo")] == [1, 2]
    assert references(store, "datasets/demo")[1].note == {"run": "a"}
    assert references(store, "datasets") == []
    assert names(store) == ["datasets/demo", "datasets/other"]
    for text, digest in [
        ("datasets/demo", two.digest),
        ("datasets/demo@latest", two.digest),
        ("datasets/demo@1", one.digest),
        ("datasets/demo@2", two.digest),
    ]:
        assert resolve(store, text).digest == digest


def test_saying_the_same_again_adds_nothing(store: Store) -> None:
    one, two = made(store, "one"), made(store, "two")
    numbers = [refer(store, "a", artifact).number for artifact in (one, one, two, two, one)]
    assert numbers == [1, 1, 2, 2, 3]


def test_racers_number_their_entries_without_gaps(store: Store) -> None:
    artifacts = [made(store, f"{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        entries = list(threads.map(lambda artifact: refer(store, "raced", artifact), artifacts))
    assert sorted(entry.number for entry in entries) == list(range(1, 9))
    history = references(store, "raced")
    assert [entry.number for entry in history] == list(range(1, 9))
    assert {entry.fingerprint for entry in history} == {artifact.fingerprint for artifact in artifacts}


def test_a_hash_means_its_artifact(store: Store) -> None:
    one = made(store, "one")
    for text in (one.fingerprint, one.fingerprint[:6], f"word/{one.fingerprint[:9]}", one.digest[:8]):
        assert resolve(store, text).fingerprint == one.fingerprint


def test_a_hash_that_means_two_is_no_answer() -> None:
    store = open_store("memory://ambiguous")
    # Two of so many words have a beginning of six digits in common; the test finds out which.
    wanted = {}
    for number in range(12_000):
        digits = word.fingerprint(config=Config(text=f"{number}"))[:6]
        if digits in wanted:
            break
        wanted[digits] = number
    made(store, f"{number}")
    made(store, f"{wanted[digits]}")
    with pytest.raises(ValueError, match=f"'{digits}' means 2 artifacts; give more digits"):
        resolve(store, digits)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("datasets/nothing", "no reference and no fingerprint"),
        ("datasets/demo@7", "has no entry '7'; it has 1 to 1"),
        ("datasets/demo@x", "has no entry 'x'"),
        ("../../etc/passwd", "no reference and no fingerprint"),
        ("../../abcdef", "no reference and no fingerprint"),
        ("", "no reference and no fingerprint"),
        ("abc", "no reference and no fingerprint"),
        (hashlib.sha256(b"nobody").hexdigest(), "references: datasets/demo"),
    ],
)
def test_what_means_nothing_says_what_there_is(store: Store, text: str, says: str) -> None:
    refer(store, "datasets/demo", made(store, "one"))
    with pytest.raises(ValueError, match=says):
        resolve(store, text)


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "..", "a/../b", "Upper", "a b", "a@1", "é"])
def test_names_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a reference"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "datasets/demo", "models/x-1_2.0/y"])
def test_names_that_can_be(name: str) -> None:
    check_name(name)
