"""A store that may be read and not written: reading commands work, the others say so in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.store import open_store
from tests.stages.collect.conftest import picture
from tests.stages.handmade import Picture, collection

POWERLESS = """
import ctypes, sys
from flows.cli import main
# Root, too, keeps to the modes of files without its capabilities.
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
assert ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()) == 0
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed") / "store"
    collection(open_store(str(folder)), [[Picture("one", picture(1))]])
    (folder / f"tmp-{os.geteuid()}").rmdir()
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return folder


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["ls", "--all"], 0, "collect/"),
        (["verify"], 0, "0 of them damaged"),
        (["gc"], 2, "cannot be"),
        (["forget", "--url", "https://example.org/a", "--why", "asked"], 2, "cannot be"),
    ],
)
def test_reading_works_and_writing_is_refused_in_one_line(
    sealed: Path, arguments: list[str], status: int, words: str
) -> None:
    command = [sys.executable, "-c", POWERLESS, *arguments, "--store", str(sealed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    told = done.stdout if status == 0 else done.stderr
    assert words in told
    if status:
        assert len(told.splitlines()) == 1
        assert str(sealed) in told
