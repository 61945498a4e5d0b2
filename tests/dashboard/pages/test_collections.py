"""A collection's page: hosts, reasons, what waits, what it represents and what contradicts what."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from dashboard.app import create_app
from dashboard.results import collection
from dashboard.results.collection import PAGE, OptOut
from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.collect.report.conflicts import CONFLICTS
from stages.config.collect import CollectConfig
from stages.output import Output
from stages.record import IMAGES, REJECTS
from stages.stage import Stats, stage
from stages.store import Store, open_store
from tests.dashboard.conftest import ADDRESS
from tests.stages.versions import image, reject, write

Rows = Sequence[Mapping[str, Any]]
HOSTS = pa.schema(
    [
        *((name, pa.string()) for name in ("host",)),
        *((name, pa.int64()) for name in ("requests", "pictures", "bytes")),
        ("seconds", pa.float64()),
        ("reasons", pa.map_(pa.string(), pa.int64())),
    ]
)
FETCHES = pa.schema([(name, pa.string()) for name in ("reason", "retry_at", "signal", "signal_where")])
HOSTILE = "<script>alert(1)</script>\x1b[31m"


def host(name: str, requests: int, reasons: Mapping[str, int] | None = None) -> dict[str, Any]:
    entries = list((reasons or {}).items()) or None
    return {
        "host": name,
        "requests": requests,
        "pictures": 3,
        "bytes": 10,
        "seconds": 1.5,
        "reasons": entries,
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def collected(store: Store, tables: Mapping[str, tuple[Rows, pa.Schema]], **documents: Any) -> Artifact:
    """A collection of two pictures and two rejects, with this evidence."""

    @stage(version=2, kind="images", name="collect")
    def collect(source: Snapshot, config: CollectConfig, out: Output) -> Stats:
        held = [image("one"), image("two", location="https://example.org.evil.test/two.jpg")]
        write(out.write("images.parquet"), held, IMAGES)
        write(out.write("rejects.parquet"), [reject("a", "too_small"), reject("b", "opted_out")], REJECTS)
        for name, (rows, schema) in tables.items():
            pq.write_table(pa.Table.from_pylist(list(rows), schema), out.write(f"{name}.parquet"))
        for name, value in documents.items():
            out.write(f"evidence/{name}.json").write_text(json.dumps(value))
        return Stats(Funnel(4, 2, {"opted_out": 1, "too_small": 1}))

    return collect(Snapshot("x"), CollectConfig(), store=store)


def asked(store: Store, path: str) -> str:
    with TestClient(create_app(store), base_url=ADDRESS) as client:
        answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_the_line_s_collection_says_what_it_is(client: TestClient, made: dict[str, Artifact]):
    images = made["collect"]
    text = client.get(f"/collections/{images.fingerprint}").text
    assert "127.0.0.1" in text
    assert f'href="/artifacts/collect/{images.fingerprint}/rows?table=rejects&amp;reason=too_small"' in text
    assert "100% of the pictures have no stated licence" in text
    assert "Nothing waits to be tried again" in text
    assert f'href="/collections/{images.fingerprint}/conflicts?kind=captions"' in text
    assert "rows.parquet" in text
    assert made["shard"].fingerprint in text
    assert "style=" not in text


def test_hosts_are_paged_and_none_is_left_out(store: Store):
    rows = [host(f"h{n:03d}.example", 7 if n < 40 else n, {"timeout": n}) for n in range(90)]
    images = collected(store, {"evidence/hosts": (rows, HOSTS)})
    seen: list[str] = []
    path = f"/collections/{images.fingerprint}"
    while path:
        text = asked(store, path)
        seen += re.findall(r'scope="row">(h\d+\.example)', text)
        following = re.search(r'rel="next" href="([^"]+)#hosts"', text)
        path = following[1].replace("&amp;", "&") if following else ""
    assert len(seen) == len(set(seen)) == 90
    assert seen[0] == "h089.example"
    assert len(collection.hosts(images).hosts) == PAGE
    assert [each.name for each in collection.hosts(images, search="H08").hosts][:2] == [
        "h089.example", "h088.example"
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no place in the list"):
        collection.hosts(images, after="nonsense")


def test_what_waits_and_what_opts_out_is_counted(store: Store):
    fetches = [
        {"reason": "timeout", "retry_at": "2026-01-02T00:00:00Z", "signal": "", "signal_where": ""},
        {"reason": "timeout", "retry_at": "2026-01-05T00:00:00Z", "signal": "", "signal_where": ""},
    ]
    fetches += [
        {"reason": "opted_out", "retry_at": "", "signal": "tdm-reservation", "signal_where": where}
        for where in ("header TDM of https://a.org/1.jpg", "header TDM of https://a.org/2.jpg")
    ]
    fetches += [
        {"reason": "", "retry_at": "", "signal": "", "signal_where": ""},
    ]
    images = collected(store, {"evidence/fetches": (fetches, FETCHES)})
    (waiting,) = collection.waiting(images)
    assert (waiting.requests, waiting.earliest[:10], waiting.latest[:10]) == (2, "2026-01-02", "2026-01-05")
    text = asked(store, f"/collections/{images.fingerprint}")
    assert "2026-01-05 00:00" in text
    assert collection.opt_outs(images) == [OptOut("tdm-reservation", "header TDM of the picture itself", 2)]
    assert "tdm-reservation" in text


def test_contradictions_are_paged_by_picture(store: Store):
    rows = [
        {
            "uid": f"{n:032x}",
            "kind": "column",
            "subject": "width",
            "stated": str(k),
            "contradicted_by": HOSTILE,
        }
        for n in range(60)
        for k in range(2)
    ]
    images = collected(store, {"evidence/conflicts": (rows, CONFLICTS)})
    found: list[str] = []
    after = ""
    while True:
        page, after = collection.conflicts(images, "column", after)
        found += [f"{conflict.uid} {conflict.stated}" for conflict in page]
        if not after:
            break
    assert len(found) == len(set(found)) == 120
    assert collection.conflicts(images, "licence") == ([], "")
    text = asked(store, f"/collections/{images.fingerprint}/conflicts?kind=column")
    assert "<script>alert" not in text
    assert f'href="/images/{0:032x}"' in text


def test_a_host_s_rows_are_of_no_other_host(store: Store):
    images = collected(store, {})
    kept = collection.host_rows(images, "example.org")
    assert [location for _, location, _ in kept] == ["https://example.org/one.jpg"]
    assert [row[1] for row in collection.host_rows(images, "example.org", "too_small")] == [
        "https://example.org/a.jpg"
    ]
    assert collection.host_rows(images, "example.org", "timeout") == []
    text = asked(store, f"/collections/{images.fingerprint}/host?name=example.org")
    assert f"/artifacts/collect/{images.fingerprint}/thumbnails/{kept[0][0]}" in text
    left_out = asked(store, f"/collections/{images.fingerprint}/host?name=example.org&reason=too_small")
    assert "<img" not in left_out


def test_a_collection_without_evidence_has_a_page(store: Store):
    text = asked(store, f"/collections/{collected(store, {}).fingerprint}")
    assert "Nothing was fetched from a host" in text
    assert "too small" in text


def test_hostile_names_are_shown_as_text(store: Store):
    tables: dict[str, tuple[Rows, pa.Schema]] = {
        "evidence/hosts": ([host(HOSTILE, 1, {HOSTILE: 1})], HOSTS),
        "evidence/fetches": ([dict.fromkeys(FETCHES.names, HOSTILE)], FETCHES),
        "evidence/conflicts": ([dict.fromkeys(CONFLICTS.names, HOSTILE)], CONFLICTS),
    }
    sites = [{"url": HOSTILE, "status": HOSTILE, "fetched_at": HOSTILE}]
    images = collected(
        store, tables, sites=sites, sources={HOSTILE: {HOSTILE: {"sha256": HOSTILE, "size": 1}}}
    )
    for below in ("", f"?host={HOSTILE[:8]}", "/conflicts", "/host?name=%3Cb%3E&reason=%3Cb%3E"):
        text = asked(store, f"/collections/{images.fingerprint}{below}")
        assert "<script>alert" not in text
        assert "<b>" not in text
        assert "\x1b" not in text


def test_what_is_no_collection_has_no_such_page(client: TestClient, made: dict[str, Artifact]):
    fingerprint = made["shard"].fingerprint
    for path in (fingerprint, f"{fingerprint}/conflicts", f"{fingerprint}/host?name=x", "0" * 64):
        assert client.get(f"/collections/{path}").status_code == 404
