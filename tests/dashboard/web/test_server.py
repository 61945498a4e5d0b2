"""Where the dashboard listens, and under which names it is asked."""

import os
import socket
from pathlib import Path

import pytest

from dashboard.web.server import PORT, address_of, listen, on_loopback, served_hosts
from tests.listening import Watch


def test_a_port_that_is_taken_gives_way_to_a_free_one():
    with listen("127.0.0.1", 0) as first, listen("127.0.0.1", first.getsockname()[1]) as second:
        assert second.getsockname()[0] == "127.0.0.1"
        assert second.getsockname()[1] not in (0, first.getsockname()[1])
        assert address_of(second) == f"http://127.0.0.1:{second.getsockname()[1]}/"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.9"])
def test_the_loopback_is_no_place_for_others(host: str):
    with listen(host, 0) as listener:
        assert on_loopback(listener)
        assert {"127.0.0.1", "localhost", "[::1]"} <= set(served_hosts(listener))
        assert socket.gethostname().lower() not in set(served_hosts(listener)) - {"localhost"}


def test_names_of_a_proxy_are_served_too():
    with listen("127.0.0.1", 0) as listener:
        assert served_hosts(listener, ["Pictures.Example.ORG"])[-1] == "pictures.example.org"


def test_bound_everywhere_every_address_of_this_machine_is_a_name(listening: Watch):
    with listening.ignoring(os.getpid()), listen("0.0.0.0", 0) as listener:
        assert not on_loopback(listener)
        hosts = served_hosts(listener)
        assert "0.0.0.0" not in hosts
        assert socket.gethostname().lower() in hosts
        assert address_of(listener).startswith(f"http://{socket.gethostname().lower()}:")
    listening.look()


@pytest.mark.parametrize("host", ["203.0.113.7", "no host"])
def test_an_address_of_another_machine_is_refused(host: str):
    with pytest.raises(ValueError, match=r"no address of this machine|cannot listen on"):
        listen(host, 0)


def test_the_command_s_port_is_the_documented_one():
    page = (Path(__file__).parents[3] / "flows/cli/store/dashboard.py").read_text()
    assert f"] = {PORT}," in page
