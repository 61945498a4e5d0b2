"""img2dataset's downloader with downloads of ours: each row once, errors as they are, all else untouched."""

import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from stages.collect.img2dataset import downloader
from stages.collect.img2dataset.downloader import download_all
from stages.errors import RetryableError

KEYS = [f"{number:032x}" for number in range(50)]


def test_every_row_arrives_once_with_its_bytes(tmp_path: Path) -> None:
    received: dict[str, bytes | None] = {}
    threads: set[int] = set()

    def receive(key: str, body: bytes | None) -> None:
        assert key not in received
        received[key] = body
        threads.add(threading.get_ident())

    def download(key: str) -> bytes | None:
        return None if key.endswith("7") else key.encode()

    download_all(KEYS, download, receive, threads=8, scratch=tmp_path)
    assert received == {key: download(key) for key in KEYS}
    assert threads == {threading.get_ident()}
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_fetched_but_by_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by `urlopen`, nor by a way of its own that a later version might take: it knows no URL."""
    seen: list[object] = []
    monkeypatch.setattr(urllib.request, "urlopen", seen.append)
    download_all(KEYS, str.encode, lambda *_: None, threads=2, scratch=tmp_path)
    assert seen == []
    monkeypatch.setattr(downloader, "_FETCHES", "download_image_in_another_way")
    with pytest.raises(AssertionError, match="by another function than download_image_in_another_way"):
        download_all(KEYS, str.encode, lambda *_: None, threads=2, scratch=tmp_path)


@pytest.mark.parametrize("where", ["download", "receive"])
def test_what_goes_wrong_is_raised_and_ends_the_work(tmp_path: Path, where: str) -> None:
    downloads: list[str] = []
    received: list[str] = []

    def download(key: str) -> bytes:
        downloads.append(key)
        if where == "download":
            raise OSError(28, "No space left on device")
        return key.encode()

    def receive(key: str, body: bytes | None) -> None:
        if where == "receive":
            raise OSError(28, "No space left on device")
        received.append(key)

    with pytest.raises(OSError, match="No space left"):
        download_all(KEYS, download, receive, threads=1, scratch=tmp_path)
    assert received == []
    assert len(downloads) < len(KEYS)
    assert list(tmp_path.iterdir()) == []


def test_lost_rows_are_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose(stream: object, boxes: None) -> None:
        raise ValueError("a row that img2dataset cannot write")

    monkeypatch.setattr(downloader, "_as_it_came", lose)
    with pytest.raises(RetryableError, match="lost 50 rows"):
        download_all(KEYS, str.encode, lambda *_: None, threads=2, scratch=tmp_path)
    assert "cannot write" in capsys.readouterr().out


def test_parts_at_once_do_not_meet_and_the_process_stays_light(tmp_path: Path) -> None:
    """Threads of one process, as parts are: each gets its own rows, and nothing of theirs is imported."""
    program = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from stages.collect.img2dataset.downloader import download_all

def part(number):
    rows = {}
    download_all([f"{number}-{row}" for row in range(9)], lambda key: f"{number}:{key}".encode(),
                 rows.__setitem__, threads=2, scratch=Path(sys.argv[1]))
    return rows == {f"{number}-{row}": f"{number}:{number}-{row}".encode() for row in range(9)}

assert all(ThreadPoolExecutor(8).map(part, range(8)))
print(*{"torch", "cv2", "albumentations", "wandb", "img2dataset"} & set(sys.modules))
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
