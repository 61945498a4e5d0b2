"""The server that `sdflow run` starts: who may talk to it."""

import os

import httpx
import psutil
import pytest

from tests.flows.api import ask

pytestmark = [pytest.mark.prefect, pytest.mark.slow]


def test_only_who_knows_the_password_is_answered(server: str):
    assert httpx.get(f"{server}/health").json() is True
    assert httpx.post(f"{server}/flow_runs/filter", json={}).status_code == 401
    wrong = httpx.post(f"{server}/flow_runs/filter", json={}, auth=("sdflow", "password"))
    assert wrong.status_code == 401
    assert isinstance(ask(server, "flow_runs/filter", {}), list)


def test_events_come_and_go_with_the_password_alone(server: str):
    """A websocket's first message is the password; no other is heard before."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import Subprotocol, connect

    place = server.replace("http:", "ws:") + "/events/in"
    with connect(place, subprotocols=[Subprotocol("prefect")]) as stranger:
        stranger.send('{"type": "auth", "token": "sdflow:password"}')
        with pytest.raises(ConnectionClosed, match="1008"):
            stranger.recv()


def test_pages_of_others_are_not_answered(server: str):
    """A browser takes them there: by a name of theirs for 127.0.0.1, or from a page of theirs."""
    port = httpx.URL(server).port
    rebound = httpx.get(f"{server}/health", headers={"Host": f"evil.example:{port}"})
    assert rebound.status_code == 400
    assert httpx.get(f"{server}/health", headers={"Host": f"localhost:{port}"}).status_code == 200
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(f"{server}/flow_runs/filter", headers=asked)
    assert preflight.status_code == 400
    read = httpx.get(f"{server}/health", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in {**preflight.headers, **read.headers}


def test_the_password_is_in_no_command_line(server: str):
    port, password = httpx.URL(server).port, os.environ["PREFECT_API_AUTH_STRING"].partition(":")[2]
    lines = [child.cmdline() for child in psutil.Process().children(recursive=True)]
    assert any(line[-3:] == ["-m", "flows.run.server", str(port)] for line in lines)
    assert len(password) > 40
    assert not any(password in word for line in lines for word in line)
