import hashlib
import json
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.artifacts.artifact import Artifact, Funnel
from stages.artifacts.reference import refer
from stages.output import Output
from stages.record import IMAGES
from stages.stage import Stats, stage
from stages.store import Store, open_store
from stages.takedown.holders import holders
from stages.takedown.records import Name, Takedown, drafted, forget, records, tables, takedowns
from tests.stages.handmade import Picture, collection, save

NOISE = np.random.default_rng(1)
ONE, TWO, THREE = (save(NOISE.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(3))


@dataclass(frozen=True, kw_only=True)
class Nothing:
    seed: int = 0


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def filled(store: Store) -> Store:
    """Two versions of a collection; the second has other bytes at one address."""
    first = [
        Picture("https://a.org/1.png", ONE),
        Picture("https://img.b.org:8080/copy.png", ONE),
        Picture("https://b.org.example/2.png", TWO),
        Picture("folder/2.png", THREE),
    ]
    second = [Picture("https://a.org/1.png", ONE), Picture("https://img.b.org:8080/copy.png", TWO)]
    collection(store, [first[:2], first[2:]])
    collection(store, [second])
    return store


def uid(location: str) -> str:
    return Picture(location, b"").uid


def test_a_url_brings_its_pictures_and_these_bring_all_their_names(filled: Store):
    record = forget(filled, [Name("url", "https://a.org/1.png")], "  asked by the artist ")
    assert record.number == 1
    assert record.why == "asked by the artist"
    assert record.sha256s == (sha256(ONE),)
    assert record.urls == ("https://a.org/1.png", "https://img.b.org:8080/copy.png")
    assert record.uids == tuple(sorted(map(uid, record.urls)))
    assert record.hosts == ()
    # what the other name brought at another time is nobody's wish
    assert uid("https://b.org.example/2.png") not in record.uids
    raw = json.loads(filled.read("takedowns/00000001.json"))
    assert raw["given"] == [{"kind": "url", "value": "https://a.org/1.png"}]
    assert records(filled) == [record]


@pytest.mark.parametrize(
    ("given", "pictures", "locations"),
    [
        (Name("uid", uid("folder/2.png")), [THREE], ["folder/2.png"]),
        (
            Name("sha256", sha256(TWO)),
            [TWO],
            ["https://b.org.example/2.png", "https://img.b.org:8080/copy.png"],
        ),
        (
            Name("host", "b.org"),  # with what is below it; "b.org.example" is another
            [ONE, TWO],
            ["https://a.org/1.png", "https://img.b.org:8080/copy.png", "https://b.org.example/2.png"],
        ),
        (Name("host", "img.b.org.x"), [], []),
    ],
)
def test_every_kind_of_name(filled: Store, given: Name, pictures: list[bytes], locations: list[str]):
    record = drafted(filled, [given], "why")
    assert set(record.sha256s) == set(map(sha256, pictures))
    assert set(record.uids) == set(map(uid, locations))
    assert set(record.urls) == {location for location in locations if "://" in location}
    assert record.hosts == ((given.value,) if given.kind == "host" else ())
    assert records(filled) == []


def test_a_url_that_a_row_only_carries_along_is_a_name_too(store: Store):
    at = "https://origin.org/a?b=1&c=\"é'"
    carried = [("x.tar/1.png", ONE, {"URL": at, "n": 3}), ("x.tar/2.png", TWO, {"URL": at + "2"})]
    rows = [
        {"uid": uid(name), "sha256": sha256(data), "location": name, "columns": json.dumps(columns)}
        for name, data, columns in carried
    ]

    @stage(version=1, kind="images", name="collect")
    def collected(config: Nothing, out: Output) -> Stats:
        pq.write_table(pa.Table.from_pylist(rows, IMAGES), out.write("images.parquet"))
        return Stats(Funnel(2, 2))

    collected(Nothing(), store=store)
    record = drafted(store, [Name("url", at)], "why")
    assert record.uids == (uid("x.tar/1.png"),)
    assert record.sha256s == (sha256(ONE),)


def test_what_was_never_held_is_forgotten_too(store: Store):
    record = forget(store, [Name("url", "https://a.org/x"), Name("host", "[::1]")], "why")
    assert (record.urls, record.hosts, record.uids) == (("https://a.org/x",), ("[::1]",), ())


def test_said_again_it_is_the_same_record_and_the_same_input(filled: Store):
    assert takedowns(filled) is None
    assert tables(None).num_rows == 0
    wide = forget(filled, [Name("host", "a.org")], "first")
    snapshot = takedowns(filled)
    assert snapshot is not None
    assert forget(filled, [Name("uid", uid("https://a.org/1.png"))], "second") == wide
    assert takedowns(filled) == snapshot
    more = forget(filled, [Name("host", "a.org"), Name("uid", "0" * 32)], "third")
    assert more.number == 2
    grown = takedowns(filled)
    assert grown is not None
    assert grown.digest != snapshot.digest
    assert grown.contents["hosts"] == {"a.org": 1}  # the first that names it
    assert grown.contents["uids"]["0" * 32] == 2
    rows = tables(grown).to_pylist()
    assert {"kind": "host", "value": "a.org", "number": 1} in rows
    assert {"kind": "sha256", "value": sha256(ONE), "number": 1} in rows
    assert tables(grown).schema == tables(None).schema


def test_of_many_at_once_each_gets_a_number(store: Store):
    threads = [
        threading.Thread(target=forget, args=(store, [Name("host", f"h{n}.org")], "why")) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = records(store)
    assert [record.number for record in found] == list(range(1, 9))
    assert {record.hosts[0] for record in found} == {f"h{n}.org" for n in range(8)}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uid", "A" * 32),
        ("uid", "0" * 31),
        ("sha256", "0" * 65),
        ("url", "ftp://a.org/x"),
        ("url", "a.org/x"),
        ("host", "https://a.org"),
        ("host", "a.org:80"),
        ("host", "A.org"),
        ("host", ""),
        ("name", "x"),
    ],
)
def test_what_is_no_name_is_refused(kind: str, value: str):
    with pytest.raises(ValueError, match=r"is no "):
        Name(kind, value)


def test_nothing_given_and_no_reason_are_refused(store: Store):
    with pytest.raises(ValueError, match="nothing to forget"):
        forget(store, [], "why")
    with pytest.raises(ValueError, match="needs a reason"):
        forget(store, [Name("host", "a.org")], " \n")
    assert records(store) == []


def made(store: Store, kind: str, *inputs: Artifact | None, rows: list[dict] | None = None) -> Artifact:
    """An artifact of a kind, after two inputs, with an index where rows are given."""

    def body(first: Artifact, second: Artifact | None, config: Nothing, out: Output) -> Stats:
        if rows is not None:
            pd.DataFrame(rows).to_parquet(out.write("index.parquet"))
        return Stats(Funnel(0, 0))

    named = stage(version=1, kind=kind, name=uuid.uuid4().hex)(body)
    return named(*inputs, *[None] * (2 - len(inputs)), Nothing(), store=store)


def test_holders_are_found_down_to_the_models_of_models(store: Store):
    old = collection(store, [[Picture("https://a.org/1", ONE), Picture("https://a.org/2", TWO)]])
    new = collection(store, [[Picture("https://a.org/1", THREE), Picture("https://a.org/2", TWO)]])
    index = [
        {"uid": uid("https://a.org/1"), "split": "train"},
        {"uid": uid("https://a.org/2"), "split": "test"},
    ]
    dataset, clean = made(store, "dataset", old, rows=index), made(store, "dataset", new, rows=index)
    model, other = made(store, "model", dataset), made(store, "model", clean)
    tuned = made(store, "model", clean, model)
    evaluated = made(store, "evaluation", other, dataset)
    made(store, "evaluation", other, clean)
    made(store, "selection", old)
    refer(store, "datasets/demo", dataset)
    refer(store, "datasets/demo", clean)
    refer(store, "models/mine", model)
    refer(store, "announced/x", dataset)

    found = holders(store, {sha256(ONE)})
    assert [(one.artifact.fingerprint, one.rows, one.references) for one in found] == [
        (old.fingerprint, 1, ()),
        (dataset.fingerprint, 1, ("datasets/demo@1",)),
        (model.fingerprint, 1, ("models/mine@1",)),
        (tuned.fingerprint, 1, ()),
        (evaluated.fingerprint, 1, ()),
    ]
    # in the test split only: the models have not learnt from it
    assert {(one.artifact.kind, one.rows) for one in holders(store, {sha256(TWO)})} == {
        ("images", 1),
        ("dataset", 1),
        ("model", 0),
        ("evaluation", 1),
    }
    assert holders(store, set()) == holders(store, {"0" * 64}) == []


def test_a_record_is_read_as_it_was_written(filled: Store):
    record = forget(filled, [Name("host", "b.org"), Name("host", "b.org")], "why")
    assert Takedown.parse(filled.read("takedowns/00000001.json")) == record
    assert record.given == (Name("host", "b.org"),)
