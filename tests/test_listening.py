import subprocess
import sys

import psutil
import pytest

from tests.listening import Watch, loopback

PROGRAM = """
import socket, sys
sys.stdin.readline()
with socket.create_server((sys.argv[1], 0), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET):
    print("listening", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("address", "exposed"), [("0.0.0.0", True), ("::", True), ("127.0.0.1", False), ("127.0.0.9", False)]
)
def test_a_process_that_others_can_reach_is_named(
    address: str, exposed: bool, listening: Watch, request: pytest.FixtureRequest
) -> None:
    """A socket that a child opens; the session's own watch is told to let it be."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin
        assert child.stdout
        watches = [Watch(), Watch(psutil.Process(child.pid))]
        with listening.ignoring(child.pid):
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == "listening\n"
            for watch in watches:
                watch.look()
            listening.look()
            assert not any(key[0] == child.pid for key in listening.exposed)
            child.stdin.close()
            child.wait()
    for watch in watches:
        if exposed:
            with pytest.raises(
                AssertionError, match=rf"process {child.pid} \(.*create_server.* on {address} port"
            ):
                watch.refuse()
        watch.look()
        watch.refuse()  # it is said once


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.255.0.7", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:0.0.0.0", False),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_what_the_loopback_is(address: str, local: bool) -> None:
    assert loopback(address) is local
