"""`sdflow dashboard`: where it listens, whom it lets in, and how it stops."""

import os
import re
import signal
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest

import dashboard.web.server
from stages.store import open_store
from tests.listening import Watch

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its index lies in a cache folder of the test's own."""
    monkeypatch.setenv("SDFLOW_CACHE", str(tmp_path / "cache"))
    return open_store(str(tmp_path / "store")).url


@pytest.fixture
def apps(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command would serve."""
    served: list[Any] = []
    monkeypatch.setattr(
        dashboard.web.server, "serve", lambda app, listener: (served.append(app), listener.close())
    )
    return served


def test_it_serves_this_machine_alone_until_it_is_stopped(store: str):
    command = [sys.executable, "-m", "flows.cli", "dashboard", "--store", store, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stderr
        address = re.search(r"http://127\.0\.0\.1:\d+/", child.stdout.readline())
        assert address
        assert child.stdout.readline() == "Ctrl-C stops it\n"
        with urlopen(address[0]) as answer:
            assert "server" not in answer.headers
            assert b"sdflow" in answer.read()
        watch = Watch(psutil.Process(child.pid))
        watch.look()
        watch.refuse()
        assert len(psutil.Process(child.pid).children(recursive=True)) == 0
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{address[0]}nowhere?q=a-secret")
        child.send_signal(signal.SIGINT)
        assert child.stdout.read() == "stopped\n"
        assert child.stderr.read() == ""  # no request is logged
    assert child.returncode == 0


def test_on_the_loopback_nobody_needs_a_token(sdflow: Told, store: str, apps: list[Any]):
    status, out, _ = sdflow("dashboard", "--store", store, "--port", "0", "--name", "pictures.example.org")
    assert status == 0
    assert "token" not in out
    assert apps[0].state.access.token == ""
    assert "pictures.example.org" in apps[0].state.access.hosts


def test_elsewhere_a_token_is_drawn_and_printed_once(
    sdflow: Told, store: str, apps: list[Any], listening: Watch, monkeypatch: pytest.MonkeyPatch
):
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    with listening.ignoring(os.getpid()):
        _, out, error = sdflow("dashboard", "--store", store, "--port", "0", "--host", "0.0.0.0", "--open")
        listening.look()
    token = apps[0].state.access.token
    assert len(token) == 32
    assert (out + error).count(token) == 1
    assert f"/?token={token}" in out
    assert "without TLS" in out
    assert opened == []  # command lines can be read by others


def test_a_token_of_one_s_own_is_never_printed(
    sdflow: Told, store: str, apps: list[Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SDFLOW_DASHBOARD_TOKEN", "abcdefgh12345678")
    _, out, error = sdflow("dashboard", "--store", store, "--port", "0")
    assert apps[0].state.access.token == "abcdefgh12345678"
    assert "abcdefgh12345678" not in out + error
    monkeypatch.setenv("SDFLOW_DASHBOARD_TOKEN", "short")
    status, _, error = sdflow("dashboard", "--store", store, "--port", "0")
    assert status == 2
    assert "at least 16 letters and digits" in error
    assert "short" not in error


def test_the_browser_opens_when_asked_to(
    sdflow: Told, store: str, apps: list[Any], monkeypatch: pytest.MonkeyPatch
):
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    sdflow("dashboard", "--store", store, "--port", "0")
    assert opened == []
    sdflow("dashboard", "--store", store, "--port", "0", "--open")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", opened[0])


def test_there_must_be_a_store(sdflow: Told, tmp_path: Path):
    status, _, error = sdflow("dashboard", "--store", tmp_path / "none")
    assert status == 2
    assert "there is no store at" in error
