"""A part of URLs: what img2dataset brings, judged, packed and accounted for."""

import tarfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stages.collect.context import FetchContext
from stages.collect.fetch import fetch
from stages.collect.outcomes import FETCHES, OUTCOMES
from stages.collect.pack import Pack
from stages.collect.progress import CollectionProgress
from stages.collect.rules import Rules
from stages.collect.sandbox import Sandbox
from stages.collect.web.fetcher import Fetcher
from stages.collect.web.host_limiter import HostLimiter
from stages.collect.web.http_client import HttpClient
from stages.collect.web.records import FetchRequest
from stages.config.collect import CollectConfig
from stages.reasons import Reason
from tests.stages.collect.conftest import Answer, Web, body, picture, status

Run = Callable[..., dict[str, Any]]
CONFIG = CollectConfig(min_side=16, max_pixels=10_000, max_bytes=50_000, deadline=5.0, retries=2)
RULES = Rules.of(CONFIG)
LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(1, RULES) as sandbox:
        yield sandbox


@pytest.fixture
def run(tmp_path: Path, sandbox: Sandbox) -> Run:
    def run(
        urls: dict[str, str], folder: str = "part", *, threads: int = 8,
        taken_down: dict[str, int] | None = None,
        networks: tuple[str, ...] = LOOPBACK,
    ) -> dict[str, Any]:  # fmt: skip
        place = tmp_path / folder
        place.mkdir()
        fetcher = Fetcher(
            client=HttpClient(agent="sdflow", contact=""),
            limiter=HostLimiter(0, 0, ()),
            agent="sdflow",
            max_bytes=RULES.max_bytes,
            deadline=RULES.deadline,
            max_wait=lambda: 5.0,
        )
        context = FetchContext(
            rules=RULES, sandbox=sandbox, progress=CollectionProgress(print), fetcher=fetcher,
            threads=threads, taken_down=taken_down or {},
        )  # fmt: skip
        requests = [
            FetchRequest(key=key, url=url, networks=networks, obey=("robots",)) for key, url in urls.items()
        ]
        made = fetch(place, requests, context)
        context.cancel()
        table = pq.read_table(place / "outcomes.parquet")
        assert table.schema == OUTCOMES
        rows = {row["key"]: row for row in table.to_pylist()}
        assert list(rows) == sorted(urls)
        assert made.funnel is not None
        assert made.funnel.rows_in == len(urls)
        assert made.funnel.rows_out == sum(not row["reason"] for row in rows.values())
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [], "scratch is left behind"
        return rows

    return run


def some_failures(times: int, code: int, data: bytes, **headers: str) -> Answer:
    left = [times]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        left[0] -= 1
        (status(code, **headers) if left[0] >= 0 else body(data))(handler)

    return answer


def test_bytes_are_kept_as_they_came(web: Web, run: Run, tmp_path: Path) -> None:
    pictures = {
        f"{number:032x}": picture(number, format=format)
        for number, format in enumerate(["png", "jpeg", "webp", "gif", "bmp"])
    }
    rows = run({key: web.serve(f"/{key}.jpg", data) for key, data in pictures.items()})
    (file,) = {row["file"] for row in rows.values()}
    with tarfile.open(tmp_path / "part" / str(file)) as tar:
        assert {member.mtime for member in tar} == {0}
        assert tar.getnames() == sorted(f"{row['sha256']}.{row['format']}" for row in rows.values())
    whole = (tmp_path / "part" / str(file)).read_bytes()
    for key, row in rows.items():
        assert whole[row["offset"] : row["offset"] + row["length"]] == pictures[key]
        assert (row["width"], row["height"], row["frames"]) == (24, 24, 1)


def test_the_same_bytes_are_kept_once(web: Web, run: Run, tmp_path: Path) -> None:
    rows = run({f"{number:x}": web.serve(f"/{number}", picture(1)) for number in range(5)})
    assert len({(row["file"], row["offset"]) for row in rows.values()}) == 1
    with tarfile.open(tmp_path / "part" / str(rows["0"]["file"])) as tar:
        assert len(tar.getnames()) == 1


def test_same_pictures_same_bytes_whatever_the_order_of_arrival(web: Web, run: Run, tmp_path: Path) -> None:
    urls = {f"{number:032x}": web.serve(f"/{number}", picture(number)) for number in range(30)}
    run(urls, "one", threads=1)
    run(dict(reversed(urls.items())), "other", threads=16)
    files = [path for path in (tmp_path / "one").rglob("*.*") if path.name != "fetches.parquet"]
    assert len(files) == 2
    for file in files:
        name = file.relative_to(tmp_path / "one")
        assert file.read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_every_failure_has_its_reason_and_its_answer(web: Web, run: Run, tmp_path: Path) -> None:
    whole = picture(1)
    answers: dict[Reason, Answer] = {
        Reason.HTTP_NOT_FOUND: status(404),
        Reason.HTTP_SERVER_ERROR: status(500),
        Reason.NOT_AN_IMAGE: body(b"<html><body>image not found</body></html>"),
        Reason.TRUNCATED: body(whole[: len(whole) // 2]),
        Reason.TOO_SMALL: body(picture(3, side=1)),
        Reason.TOO_LARGE: body(picture(4, side=101)),
        Reason.TOO_MANY_BYTES: body(b"x" * 50_001),
    }
    web.answers = {f"/{reason}": answer for reason, answer in answers.items()}
    rows = run({str(reason): web.url(f"/{reason}") for reason in answers})
    assert {key: row["reason"] for key, row in rows.items()} == {key: key for key in sorted(answers)}
    assert rows["too_small"]["rule"] == "min_side=16"
    assert rows["too_large"]["rule"] == "max_pixels=10000"
    assert rows["too_many_bytes"]["rule"] == "max_bytes=50000"
    heard = pq.read_table(tmp_path / "part" / "fetches.parquet")
    assert heard.schema == FETCHES
    said = {row["key"]: row for row in heard.to_pylist()}
    assert {key: row["status"] for key, row in said.items()} == {
        key: {"http_not_found": 404, "http_server_error": 500}.get(key, 200) for key in rows
    }
    assert {row["requests"] for row in said.values()} == {1}
    assert all(row["requested_at"].endswith("Z") for row in said.values())
    assert {row["address"] for row in said.values()} == {"127.0.0.1"}


def test_a_question_is_asked_once(web: Web, run: Run) -> None:
    web.answers["/never"] = status(503)
    run({"a": web.url("/never")})
    assert web.asked["/never"] == 1


def test_private_addresses_are_closed_unless_opened(web: Web, run: Run) -> None:
    rows = run({"a": web.serve("/a", picture(1))}, networks=())
    assert rows["a"]["reason"] == Reason.FORBIDDEN_ADDRESS
    assert rows["a"]["rule"] == "allow_networks=none"
    assert not web.asked


def test_bytes_that_were_taken_down_are_not_kept(web: Web, run: Run, tmp_path: Path) -> None:
    held = run({"a": web.serve("/a", picture(1)), "b": web.serve("/b", picture(2))}, "first")
    rows = run({"a": web.url("/a"), "b": web.url("/b")}, taken_down={held["a"]["sha256"]: 3})
    assert (rows["a"]["reason"], rows["a"]["file"], rows["b"]["reason"]) == (Reason.TAKEN_DOWN, "", "")
    assert picture(1) not in (tmp_path / "part" / rows["b"]["file"]).read_bytes()


def test_a_full_disk_is_no_lost_row(web: Web, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Pack, "add", full)
    with pytest.raises(OSError, match="No space left"):
        run({"a": web.serve("/a", picture(1)), "b": web.serve("/b", picture(2))})


def test_a_part_without_pictures_has_no_tar(web: Web, run: Run, tmp_path: Path) -> None:
    run({"a": web.url("/none")})
    assert not (tmp_path / "part" / "tars").exists()
