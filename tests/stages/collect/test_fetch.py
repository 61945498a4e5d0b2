"""A part of URL rows: what img2dataset brings, judged, packed and accounted for."""

import subprocess
import sys
import tarfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stages.collect import fetch as module
from stages.collect.fetch import FetchPart, fetch
from stages.collect.judge import Rules
from stages.reasons import Reason
from tests.stages.collect.conftest import Answer, Web, body, picture, status

Run = Callable[..., dict[str, Any]]
RULES = Rules(min_side=16, max_pixels=10_000, max_bytes=50_000, deadline=5.0, retries=2)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(urls: dict[str, str], folder: str = "part", **changes: Any) -> dict[str, Any]:
        place = tmp_path / folder
        place.mkdir()
        part = FetchPart(
            uids=list(urls),
            urls=list(urls.values()),
            **{
                "rules": RULES,
                "allow_private": True,
                "threads": 8,
                "evidence": "evidence/e.parquet",
                **changes,
            },
        )
        made = fetch(place, part)
        rows = {row["uid"]: row for row in pq.read_table(place / "outcomes.parquet").to_pylist()}
        assert list(rows) == sorted(urls)
        assert made.funnel is not None
        assert made.funnel.rows_in == len(urls)
        assert made.funnel.rows_out == sum(not row["reason"] for row in rows.values())
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [], "scratch is left behind"
        return rows

    return run


def some_failures(times: int, code: int, data: bytes) -> Answer:
    left = [times]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        left[0] -= 1
        (status(code) if left[0] >= 0 else body(data))(handler)

    return answer


def test_bytes_are_kept_as_they_came(web: Web, run: Run, tmp_path: Path) -> None:
    pictures = {
        f"{number:032x}": picture(number, format=format)
        for number, format in enumerate(["png", "jpeg", "webp", "gif", "bmp"])
    }
    rows = run({uid: web.serve(f"/{uid}.jpg", data) for uid, data in pictures.items()})
    (file,) = {row["file"] for row in rows.values()}
    with tarfile.open(tmp_path / "part" / str(file)) as tar:
        names = tar.getnames()
        assert {name[:32]: tar.extractfile(name).read() for name in names} == pictures  # type: ignore[union-attr]
        assert {member.mtime for member in tar} == {0}
    assert names == [f"{uid}.{row['format']}" for uid, row in rows.items()]
    whole = (tmp_path / "part" / str(file)).read_bytes()
    for uid, row in rows.items():
        assert whole[row["offset"] : row["offset"] + row["length"]] == pictures[uid]
        assert (row["width"], row["height"]) == (24, 24)


def test_same_pictures_same_bytes_whatever_the_order_of_arrival(web: Web, run: Run, tmp_path: Path) -> None:
    urls = {f"{number:032x}": web.serve(f"/{number}", picture(number)) for number in range(30)}
    run(urls, "one", threads=1)
    run(dict(reversed(urls.items())), "other", threads=16)
    for name in [
        path.relative_to(tmp_path / "one")
        for path in (tmp_path / "one").rglob("*.*")
        if "evidence" not in path.parts
    ]:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_every_failure_has_its_reason(web: Web, run: Run) -> None:
    whole = picture(1)
    damaged = whole.replace(b"IDAT" + whole[whole.index(b"IDAT") + 4 :][:9], b"IDAT" + b"\xff" * 9)
    answers: dict[Reason, Answer] = {
        Reason.HTTP_CLIENT_ERROR: status(404),
        Reason.HTTP_SERVER_ERROR: status(500),
        Reason.HTTP_TOO_MANY_REQUESTS: status(429),
        Reason.NOT_AN_IMAGE: body(b"<html><body>image not found</body></html>"),
        Reason.TRUNCATED: body(whole[: len(whole) // 2]),
        Reason.UNDECODABLE: body(damaged),
        Reason.TOO_SMALL: body(picture(3, side=1)),
        Reason.TOO_LARGE: body(picture(4, side=101)),
        Reason.TOO_MANY_BYTES: body(b"x" * 50_001),
        Reason.CONNECTION_FAILED: body(b"short", length=999),
        Reason.BAD_URL: status(302, Location="file:///etc/passwd"),
    }
    web.answers = {f"/{reason}": answer for reason, answer in answers.items()}
    urls = {str(reason): web.url(f"/{reason}") for reason in answers}
    urls[Reason.NAME_NOT_RESOLVED] = "http://no-such-name.invalid/x"
    rows = run(urls)
    assert {uid: row["reason"] for uid, row in rows.items()} == {uid: uid for uid in sorted(urls)}
    assert rows["too_small"]["rule"] == "min_side=16"
    assert rows["too_small"]["detail"] == "sides of 1 and 1 pixels"
    assert rows["too_large"]["rule"] == "max_pixels=10000"
    assert rows["too_many_bytes"]["rule"] == "max_bytes=50000"
    assert rows["http_client_error"] | {"uid": ""} == {
        "uid": "", "sha256": "", "format": "", "width": 0, "height": 0, "file": "", "offset": 0, "length": 0,
        "reason": "http_client_error", "rule": "", "detail": "404 Not Found",
    }  # fmt: skip


def test_private_addresses_are_closed_unless_opened(web: Web, run: Run) -> None:
    rows = run({"a": web.serve("/a", picture(1))}, allow_private=False)
    assert rows["a"]["reason"] == Reason.FORBIDDEN_ADDRESS
    assert rows["a"]["rule"] == "allow_private=false"
    assert rows["a"]["detail"] == "127.0.0.1 is 127.0.0.1 (loopback)"
    assert web.asked["/a"] == 0


def test_only_what_may_pass_is_asked_again(web: Web, run: Run, tmp_path: Path) -> None:
    web.answers = {
        "/once": some_failures(1, 500, picture(1)),
        "/twice": some_failures(2, 503, picture(2)),
        "/never": some_failures(99, 500, b""),
        "/gone": status(410),
        "/fine": body(picture(3)),
        "/html": body(b"<html>"),
    }
    rows = run({path[1:]: web.url(path) for path in web.answers})
    assert {uid for uid, row in rows.items() if not row["reason"]} == {"once", "twice", "fine"}
    assert web.asked == {"/once": 2, "/twice": 3, "/never": 3, "/gone": 1, "/fine": 1, "/html": 1}
    evidence = pq.read_table(tmp_path / "part" / "evidence" / "e.parquet").to_pylist()
    assert [(row["round"], row["status"]) for row in evidence if row["uid"] == "twice"] == [
        (0, 503),
        (1, 503),
        (2, 200),
    ]


def test_a_full_disk_is_no_lost_row(web: Web, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.Pack, "add", full)
    with pytest.raises(OSError, match="No space left"):
        run({"a": web.serve("/a", picture(1)), "b": web.serve("/b", picture(2))})


def test_a_part_without_pictures_has_no_tar(web: Web, run: Run, tmp_path: Path) -> None:
    run({"a": web.url("/none")})
    assert not (tmp_path / "part" / "tars").exists()


def test_what_is_taken_of_img2dataset_is_what_its_package_holds() -> None:
    code = (
        "import sys; from stages.collect.fetch import _downloader; d = _downloader();"
        "assert 'torch' not in sys.modules and 'cv2' not in sys.modules and 'img2dataset' not in sys.modules;"
        "print(d.__module__, d.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["img2dataset.downloader", "Downloader"]
