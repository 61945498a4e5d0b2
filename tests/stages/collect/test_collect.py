"""The stage: every row comes out, editions fetch only what is new, and what was done is not done again."""

import dataclasses
import json
import os
import sys
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.artifacts.artifact import Artifact
from stages.artifacts.reference import refer, references
from stages.collect.collect import collect
from stages.collect.edition import note_of, previous_of
from stages.collect.sources.files import snapshot
from stages.config.collect import CollectConfig, FolderSource, TarSource, UrlSource
from stages.errors import Stopped
from stages.record import IMAGES, REJECTS, uid_of
from stages.reporter import Silent
from stages.store import Store, open_store
from tests.stages.collect.conftest import Web, body, picture, status
from tests.stages.collect.test_fetch import some_failures
from tests.stages.collect.test_sources import folder, tar

Told = list[tuple[str, str]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.collect.rounds.PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("stages.collect.web.host_limiter.FIRST_COOL_DOWN_SECONDS", 0.01)


def table(path: Path, told: Told) -> Path:
    pd.DataFrame(told, columns=["url", "caption"]).assign(n=range(len(told))).to_csv(path, index=False)
    return path


def config_of(*tables: Path, **changes: Any) -> CollectConfig:
    source = UrlSource(
        name="web", tables=tuple(map(str, tables)), columns=("n",), allow_networks=("127.0.0.0/8",)
    )
    usual = {"retries": 1, "threads": 12, "connections": 0, "per_second": 0, "placeholder_urls": 1000}
    return CollectConfig(urls=(source,), workers=1, **{**usual, **changes})


def run(
    store: Store, config: CollectConfig, previous: Artifact | None = None, reporter: Any = None
) -> Artifact:
    artifact = collect(previous, snapshot(config), None, config, store=store, reporter=reporter)
    check(artifact)
    return artifact


def check(artifact: Artifact) -> None:
    """What must hold of every collection."""
    images, rejects = (
        pq.read_table(artifact.path("images.parquet")),
        pq.read_table(artifact.path("rejects.parquet")),
    )
    assert images.schema == IMAGES
    assert rejects.schema == REJECTS
    uids = images["uid"].to_pylist()
    assert uids == sorted(set(uids))
    keys = list(zip(rejects["uid"].to_pylist(), rejects["row"].to_pylist(), strict=True))
    assert keys == sorted(set(keys))
    assert artifact.funnel.rows_in == len(images) + len(rejects)
    assert artifact.funnel.reasons == dict(Counter(rejects["reason"].to_pylist()))
    assert set(artifact.names("tars/")) == set(images["file"].to_pylist())
    for row in images.to_pylist():
        assert artifact.read(row["file"], row["offset"], row["length"])
        with tarfile.open(artifact.path(row["file"])) as archive:
            assert archive.getmember(f"{row['sha256']}.{row['format']}").offset_data == row["offset"]
    for row in rejects.to_pylist():
        assert row["row"]
        merged = row["reason"] == "duplicate_url"
        assert row["merged_into"] == (row["uid"] if merged else "")


def pictures_of(artifact: Artifact) -> dict[str, dict[str, Any]]:
    """Last part of the location -> row."""
    rows = pq.read_table(artifact.path("images.parquet")).to_pylist()
    return {row["location"].rsplit("/", 1)[-1]: row for row in rows}


def reasons_of(artifact: Artifact) -> dict[str, str]:
    rows = pq.read_table(artifact.path("rejects.parquet")).to_pylist()
    return {row["location"].rsplit("/", 1)[-1]: row["reason"] for row in rows}


def test_rows_become_images_or_rejects(web: Web, store: Store, tmp_path: Path) -> None:
    told = [
        (web.serve("/a", picture(1)), "an a"),
        (web.serve("/b", picture(2, format="webp")), ""),
        (web.url("/a#part"), "the same a"),
        (web.url("/a"), "an a"),
        (web.url("/gone"), "gone"),
        ("", "no url"),
        ("", "no url"),
        ("file:///etc/passwd", "no"),
        (web.url("/gone").replace("http", "HTTP"), "gone too"),
    ]
    artifact = run(store, config_of(table(tmp_path / "t.csv", told)))
    assert artifact.kind == "images"
    assert artifact.funnel.rows_out == 2
    assert artifact.funnel.reasons == {
        "url_scheme": 1,
        "duplicate_url": 3,
        "empty_url": 2,
        "http_not_found": 1,
    }
    row = pictures_of(artifact)["a"]
    assert row["uid"] == uid_of("web", web.url("/a"))
    assert [caption["text"] for caption in row["captions"]] == ["an a", "the same a"]
    assert {(caption["source"], caption["weight"]) for caption in row["captions"]} == {("caption", 1.0)}
    assert row["columns"] == '{"n": "0"}'
    assert artifact.read(row["file"], row["offset"], row["length"]) == picture(1)
    assert pictures_of(artifact)["b"]["captions"] == []
    assert web.pictures() == {"/a": 1, "/b": 1, "/gone": 1}
    assert artifact.statistics["sources"] == {"web": {"rows": 9, "pictures": 2}}
    rejects = pq.read_table(artifact.path("rejects.parquet")).to_pylist()
    assert {row["row"] for row in rejects if row["reason"] == "duplicate_url"} == {
        f"web:t.csv:{n}" for n in (2, 3, 8)
    }


def test_same_bytes_under_two_urls_are_both_kept(web: Web, store: Store, tmp_path: Path) -> None:
    told = [(web.serve("/a", picture(1)), "x"), (web.serve("/b", picture(1)), "y")]
    found = pictures_of(run(store, config_of(table(tmp_path / "t.csv", told))))
    assert found["a"]["sha256"] == found["b"]["sha256"]


def test_folders_and_tars_beside_tables(web: Web, store: Store, tmp_path: Path) -> None:
    pictures = folder(
        tmp_path / "dir",
        {
            "owl/1.png": picture(1),
            "owl/2.png": picture(2)[:300],
            "metadata.csv": b"file_name,text,by\nowl/1.png,an owl,me\nowl/2.png,half an owl,\nnone.png,x,\n"
            b"../t.csv,x,\nowl/1.png,again,\n",
        },
    )
    shard = tar(
        tmp_path / "0.tar", {"a.jpg": picture(3, format="png"), "a.txt": b"named jpg", "b.png": b"<html>"}
    )
    config = dataclasses.replace(
        config_of(table(tmp_path / "t.csv", [(web.serve("/a", picture(4)), "x")])),
        folders=(FolderSource(name="dir", folder=str(pictures)),),
        tars=(TarSource(name="wds", tars=(str(shard),)),),
        max_bytes=10_000,
    )
    artifact = run(store, config)
    found = pictures_of(artifact)
    assert {name: row["source"] for name, row in found.items()} == {
        "1.png": "dir",
        "a.jpg": "wds",
        "a": "web",
    }
    assert found["a.jpg"]["format"] == "png"
    assert [caption["text"] for caption in found["1.png"]["captions"]] == ["an owl", "again"]
    assert artifact.read(*(found["a.jpg"][key] for key in ("file", "offset", "length"))) == picture(3)
    assert reasons_of(artifact) == {
        "2.png": "truncated",
        "none.png": "missing_file",
        "t.csv": "forbidden_path",
        "1.png": "duplicate_url",
        "b.png": "not_an_image",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="has no FIFOs")
def test_a_row_that_leads_to_a_fifo_is_refused_not_waited_for(store: Store, tmp_path: Path) -> None:
    text = b"file_name,text\na.png,an a\nfifo.png,x\n/dev/stdin,y\nsub,z\na\0.png,n\n"
    inside = folder(tmp_path / "in", {"a.png": picture(1), "sub/b.png": picture(2), "metadata.csv": text})
    os.mkfifo(inside / "fifo.png")
    source = FolderSource(name="dir", folder=str(inside))
    images = run(store, CollectConfig(folders=(source,), workers=1))
    assert list(pictures_of(images)) == ["a.png"]
    rejects = {row.location: (row.reason, row.detail) for row in images.table("rejects").itertuples()}
    assert rejects == {
        "fifo.png": ("missing_file", "it is a FIFO, no regular file"),
        "/dev/stdin": ("forbidden_path", "leads out of the folder"),
        "a\0.png": ("forbidden_path", "leads out of the folder"),
        "sub": ("missing_file", "it is a folder, no regular file"),
    }
    assert any("'fifo.png' is a FIFO" in words for words in images.statistics["warnings"])
    assert any("1 pictures, 'sub/b.png'" in words for words in images.statistics["warnings"])


def test_reading_the_sources_heeds_a_stop(store: Store, tmp_path: Path) -> None:
    source = UrlSource(name="web", tables=(str(table(tmp_path / "t.csv", [("http://a.example/", "x")])),))
    config = CollectConfig(urls=(source,), workers=1)
    with pytest.raises(Stopped):
        collect(None, snapshot(config), None, config, store=store, reporter=Ending())
    assert references(store, "images/web") == []


def test_tables_are_written_range_by_range_as_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number}.png" for number in range(12)]
    lines = [f"{name},caption {turn} of {name}" for turn in (0, 1, 0) for name in names]
    metadata = "\n".join(["file_name,text", *lines, "none.png,x", ""]).encode()
    pictures = {name: picture(number) for number, name in enumerate(names)}
    inside = folder(tmp_path / "in", {**pictures, "metadata.csv": metadata})
    config = CollectConfig(folders=(FolderSource(name="dir", folder=str(inside)),), workers=1)

    def collected(name: str) -> Artifact:
        return run(open_store(str(tmp_path / name)), config)

    at_once = collected("at-once")
    captions = [[one["text"] for one in row.captions] for row in at_once.table("images").itertuples()]
    assert {len(texts) for texts in captions} == {2}
    monkeypatch.setattr("stages.collect.database._TEXT_BYTES", 50)
    assert collected("ranges").digest == at_once.digest
    assert "warnings" not in at_once.statistics
    monkeypatch.setattr(
        "stages.collect.database.CAPTION_BYTES", 5
    )  # of one picture: the next row is too many
    short = collected("short")
    assert {len(row.captions) for row in short.table("images").itertuples()} == {1}
    (words,) = short.statistics["warnings"]
    assert words.startswith(
        "captions of 24 rows are left out: other rows gave their pictures 4,000,000 bytes"
    )


class Ending(Silent):
    """Asks to stop from the first moment."""

    def stopping(self) -> bool:
        return True


def test_the_result_does_not_depend_on_workers_threads_or_place(web: Web, tmp_path: Path) -> None:
    told = [(web.serve(f"/{number}", picture(number)), str(number)) for number in range(12)]
    digests: set[str] = set()
    for number, changes in enumerate(({"threads": 1}, {"threads": 8, "part_rows": 5}, {"part_rows": 5})):
        (tmp_path / str(number)).mkdir()
        config = config_of(table(tmp_path / str(number) / "t.csv", told), **changes)
        artifact = run(open_store(str(tmp_path / f"store{number}")), config)
        digests.add(artifact.digest if "part_rows" in changes else "")
    assert len(digests) == 2


@pytest.mark.slow
def test_processes_give_what_one_process_gives(web: Web, tmp_path: Path) -> None:
    told = [(web.serve(f"/{number}", picture(number)), str(number)) for number in range(40)]
    config = config_of(table(tmp_path / "t.csv", told), part_rows=10)
    alone = run(open_store(str(tmp_path / "one")), config)
    together = run(open_store(str(tmp_path / "two")), dataclasses.replace(config, workers=2))
    assert alone.fingerprint == together.fingerprint
    assert alone.digest == together.digest


def test_a_sample_is_spread_over_the_source_and_stable(web: Web, store: Store, tmp_path: Path) -> None:
    told = [(web.serve(f"/{number}", picture(number)), str(number)) for number in range(40)]
    small = run(store, config_of(table(tmp_path / "t.csv", told[:30]), limit=8))
    assert small.funnel.rows_in == 8
    numbers = sorted(int(name) for name in pictures_of(small))
    assert numbers != list(range(8))
    grown = run(store, config_of(table(tmp_path / "u.csv", told), limit=8))
    uids = {row["uid"] for row in pictures_of(small).values()}
    assert {
        row["uid"] for row in pictures_of(grown).values() if int(row["location"].rsplit("/", 1)[-1]) < 30
    } <= uids


def test_an_unchanged_edition_fetches_nothing_and_has_the_same_digest(
    web: Web, store: Store, tmp_path: Path
) -> None:
    told = [(web.serve(f"/{number}", picture(number)), "x") for number in range(5)]
    told += [(web.url("/gone"), "x"), (web.serve("/html", b"<html>"), "x"), (told[0][0], "y")]
    config = config_of(table(tmp_path / "t.csv", told))
    first = run(store, config)
    web.asked.clear()
    second = run(store, dataclasses.replace(config, edition="2"), first)
    assert not second.cached
    assert second.fingerprint != first.fingerprint
    assert second.digest == first.digest
    assert not web.pictures()
    assert second.files["images.parquet"].sha256 == first.files["images.parquet"].sha256
    tars = second.names("tars/")
    assert [second.files[name].key for name in tars] == [first.files[name].key for name in tars]
    assert (second.statistics["pictures_carried"], second.statistics["rejections_carried"]) == (5, 2)


def test_a_grown_table_fetches_only_what_is_new(web: Web, store: Store, tmp_path: Path) -> None:
    told = [(web.serve(f"/{number}", picture(number)), "x") for number in range(6)]
    web.answers["/flaky"] = some_failures(2, 500, picture(9))
    told += [(web.url("/flaky"), "x"), (web.url("/gone"), "x")]
    first = run(store, config_of(table(tmp_path / "t.csv", told[:4] + told[6:])))
    assert reasons_of(first) == {"flaky": "http_server_error", "gone": "http_not_found"}
    web.asked.clear()
    config = config_of(table(tmp_path / "t.csv", [(url, "another caption") for url, _ in told[2:]]))
    second = run(store, config, first)
    assert web.pictures() == {"/4": 1, "/5": 1, "/flaky": 1}
    found = pictures_of(second)
    assert set(found) == {"2", "3", "4", "5", "flaky"}
    assert found["2"]["captions"][0]["text"] == "another caption"
    assert found["2"]["file"] == pictures_of(first)["2"]["file"]


def test_tars_without_survivors_are_left_out(web: Web, store: Store, tmp_path: Path) -> None:
    told = [(web.serve(f"/{number}", picture(number)), "x") for number in range(4)]
    first = run(store, config_of(table(tmp_path / "t.csv", told), part_rows=2))
    kept = {row["file"] for name, row in pictures_of(first).items() if name == "0"}
    second = run(store, config_of(table(tmp_path / "t.csv", told[:1]), part_rows=2), first)
    assert set(second.names("tars/")) == kept


def test_changed_rules_judge_what_is_held_and_ask_again_for_what_they_refused(
    web: Web, store: Store, tmp_path: Path
) -> None:
    told = [(web.serve(f"/{side}", picture(side, side=side)), "x") for side in (20, 30, 40)]
    config = config_of(table(tmp_path / "t.csv", told), min_side=25)
    first = run(store, config)
    assert reasons_of(first) == {"20": "too_small"}
    web.asked.clear()
    stricter = run(store, dataclasses.replace(config, min_side=35), first)
    assert reasons_of(stricter) == {"20": "too_small", "30": "too_small"}
    assert web.pictures() == {"/20": 1}  # what was refused by a rule that changed is asked for again
    fresh = run(store, dataclasses.replace(config, min_side=35))
    rows = [pq.read_table(one.path("rejects.parquet")).to_pylist() for one in (stricter, fresh)]
    assert rows[0] == rows[1]
    web.asked.clear()
    looser = run(store, dataclasses.replace(config, min_side=16), stricter)
    assert set(pictures_of(looser)) == {"20", "30", "40"}
    assert web.pictures() == {"/20": 1, "/30": 1}
    small = run(store, dataclasses.replace(config, max_bytes=len(picture(30, side=30))), first)
    assert reasons_of(small)["40"] == "too_many_bytes"


def test_what_came_from_private_addresses_goes_when_they_are_closed(
    web: Web, store: Store, tmp_path: Path
) -> None:
    config = config_of(table(tmp_path / "t.csv", [(web.serve("/a", picture(1)), "x")]))
    first = run(store, config)
    closed = dataclasses.replace(config, urls=(dataclasses.replace(config.urls[0], allow_networks=()),))
    second = run(store, closed, first)
    assert reasons_of(second) == {"a": "forbidden_address"}
    third = run(store, config, second)
    assert set(pictures_of(third)) == {"a"}


def test_a_changed_local_file_is_read_again(store: Store, tmp_path: Path) -> None:
    pictures = folder(tmp_path / "dir", {"owl/1.png": picture(1), "owl/2.png": picture(2), "owl/3.png": b"x"})
    shard = tar(tmp_path / "0.tar", {"a.png": picture(3)})
    config = CollectConfig(
        folders=(FolderSource(name="dir", folder=str(pictures)),),
        tars=(TarSource(name="wds", tars=(str(shard),)),),
        workers=1,
    )
    first = run(store, config)
    assert run(store, dataclasses.replace(config, edition="2"), first).digest == first.digest
    (pictures / "owl/2.png").write_bytes(picture(20))
    (pictures / "owl/3.png").write_bytes(picture(21))
    tar(shard, {"a.png": picture(22)})
    second = run(store, config, first)
    before, after = pictures_of(first), pictures_of(second)
    assert second.statistics["copied"] == 3
    assert before["1.png"] == after["1.png"]
    assert before["2.png"]["uid"] == after["2.png"]["uid"]
    for name, number in (("2.png", 20), ("3.png", 21), ("a.png", 22)):
        assert second.read(*(after[name][key] for key in ("file", "offset", "length"))) == picture(number)


def test_a_stopped_collection_goes_on_where_it_was(web: Web, store: Store, tmp_path: Path) -> None:
    class Impatient:
        done = 0

        def progress(self, stage: str, done: int, total: int, note: str) -> None:
            self.done = done

        def stopping(self) -> bool:
            return self.done >= 2

        def warn(self, stage: str, words: str) -> None:
            raise AssertionError(words)

    told = [(web.serve(f"/{number}", picture(number)), "x") for number in range(16)]
    config = config_of(table(tmp_path / "t.csv", told), part_rows=2)
    with pytest.raises(Stopped):
        run(store, config, reporter=Impatient())
    asked = sum(web.pictures().values())
    assert 4 <= asked < 16
    artifact = run(store, config)
    found = artifact.statistics["parts"]["found"]
    assert found >= 2
    assert sum(web.pictures().values()) == asked + len(told) - 2 * found
    undisturbed = run(open_store(str(tmp_path / "other")), config)
    assert artifact.digest == undisturbed.digest


def test_the_previous_edition_is_chosen_alike_for_the_same_request(
    web: Web, store: Store, tmp_path: Path
) -> None:
    def edition(config: CollectConfig) -> Artifact:
        sources = snapshot(config)
        previous = previous_of(store, "demo", config, sources)
        artifact = collect(previous, sources, None, config, store=store)
        check(artifact)
        refer(store, "images/demo", artifact, note_of(config, sources, None, previous))
        return artifact

    told = [(web.serve(f"/{number}", picture(number)), "x") for number in range(3)]
    config = config_of(table(tmp_path / "t.csv", told))
    first = edition(config)
    assert edition(config).cached
    nightly = dataclasses.replace(config, edition="2026-01-02")
    second = edition(nightly)
    assert not second.cached
    assert second.input("previous").fingerprint == first.fingerprint  # type: ignore[union-attr]
    assert second.digest == first.digest
    assert edition(nightly).fingerprint == second.fingerprint
    assert (
        edition(config).fingerprint == first.fingerprint
    )  # an older request again is answered as it was then
    table(tmp_path / "t.csv", told[:2])
    third = edition(nightly)
    assert set(pictures_of(third)) == {"0", "1"}
    assert max(web.pictures().values()) == 1
    store.delete([f"manifests/collect/{first.fingerprint}.json"])  # swept away
    table(tmp_path / "t.csv", told)
    assert previous_of(store, "demo", nightly, snapshot(nightly)).fingerprint == second.fingerprint  # type: ignore[union-attr]
    assert len(references(store, "images/demo")) >= 3


KINDS = ("fine", "same", "gone", "html", "small", "flaky", "empty", "bad", "other")


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(0, 3), st.sampled_from(["", "a", "b"])), min_size=1
    ),
    more=st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.sampled_from(["", "a"])), min_size=1
    ),
    part_rows=st.integers(1, 6),
    limit=st.none() | st.integers(1, 12),
)
def test_every_row_is_accounted_for(
    web: Web,
    tmp_path_factory: pytest.TempPathFactory,
    told: list[tuple[str, int, str]],
    more: list[tuple[str, int, str]],
    part_rows: int,
    limit: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    store = open_store(str(folder / "store"))
    web.answers = {f"/fine{n}": body(picture(n)) for n in range(6)} | {
        f"/same{n}": body(picture(0)) for n in range(6)
    }
    web.answers |= {f"/html{n}": body(b"<html>") for n in range(6)}
    web.answers |= {f"/small{n}": body(picture(n, side=2)) for n in range(6)}
    web.answers |= {f"/flaky{n}": some_failures(n, 500, picture(n)) for n in range(6)}
    web.answers |= {f"/gone{n}": status(404) for n in range(6)}

    def url(kind: str, number: int) -> str:
        return {"empty": "", "bad": "mailto:me", "other": web.url(f"/fine{number}#x")}.get(
            kind, web.url(f"/{kind}{number}")
        )

    previous: Artifact | None = None
    for edition, rows in enumerate((told, more, more)):
        given_rows = [(url(kind, number), caption) for kind, number, caption in rows]
        config = config_of(
            table(folder / "t.csv", given_rows), part_rows=part_rows, limit=limit, edition=str(edition)
        )
        artifact = run(store, config, previous)
        assert artifact.funnel.rows_in == min(len(rows), limit or len(rows))
        images, rejects = artifact.table("images"), artifact.table("rejects")
        if limit is None:
            numbers = sorted(int(row.rsplit(":", 1)[1]) for row in rejects["row"])
            heads = {json.loads(text)["n"] for text in images["columns"]}
            assert sorted([*numbers, *map(int, heads)]) == list(range(len(rows)))
            for row in images.itertuples():
                told_here = [caption for url, caption in given_rows if url.split("#")[0] == row.location]
                assert [one["text"] for one in row.captions] == [
                    text for text in dict.fromkeys(told_here) if text
                ]
        previous = artifact
