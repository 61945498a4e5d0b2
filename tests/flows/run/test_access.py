"""A server that does not let us in, or is away: one line, before anything is done there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

COMMANDS = (("setup",), ("deploy", "run.yaml"), ("run", "run.yaml"))


@contextmanager
def settings(url: str, password: str | None) -> Iterator[None]:
    """Prefect's settings, as its profile or the environment would have them."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    secret = {PREFECT_API_AUTH_STRING: password} if password else {}
    with temporary_settings({PREFECT_API_URL: url, **secret}, restore_defaults={PREFECT_API_AUTH_STRING}):
        yield


@pytest.fixture(autouse=True)
def folder(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a run in it, to be in."""
    monkeypatch.chdir(tmp_path)
    folder = {"name": "p", "folder": str(pictures)}
    Path("run.yaml").write_text(yaml.safe_dump({"name": "birds", "collect": {"folders": [folder]}}))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("password", "words"),
    [
        (None, "asks for a password and gets none"),
        ("sdflow:guess", "refuses that of PREFECT_API_AUTH_STRING"),
    ],
)
def test_a_password_that_is_absent_or_wrong_is_one_line(
    server: str,
    sdflow: Callable[..., tuple[int, str, str]],
    command: tuple[str, ...],
    password: str | None,
    words: str,
):
    with settings(server, password):
        status, _, errors = sdflow(*command)
    assert status == 2
    last = errors.splitlines()[-1]
    assert last.startswith(f"sdflow: Prefect's server at {server} ")
    assert words in last
    assert "Traceback" not in errors
    assert "guess" not in errors


def test_a_server_that_is_away_is_one_line(sdflow: Callable[..., tuple[int, str, str]]):
    with settings("http://someone:guess@127.0.0.1:9/api", None):
        for command in COMMANDS:
            status, _, errors = sdflow(*command)
            assert status == 1
            assert "sdflow: no Prefect server answers at http://…@127.0.0.1:9/api" in errors.splitlines()[-1]
            assert "guess" not in errors
