"""What somebody else on the machine can do to the ranks of a training, and what they let happen."""

import json
import os
import pickle
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


class _Intrusion:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def listening(pid: int) -> list[tuple[str, int]]:
    """(address, port) of each socket that a process waits on for others, TCP or UDP."""
    return [
        (one.laddr.ip, one.laddr.port)
        for one in psutil.Process(pid).net_connections("inet")
        if one.laddr and not one.raddr
    ]


def intrude(folder: Path) -> None:
    """Sends each socket of this process and its siblings a pickle that would make `folder`, with and without
    the length before it that torch's store takes."""
    data = pickle.dumps(_Intrusion(folder))
    for pid in [child.pid for child in psutil.Process(os.getppid()).children()]:
        for place in listening(pid):
            for before in (b"", len(data).to_bytes(8, "little")):
                with suppress(OSError), socket.create_connection(place, timeout=5) as connection:
                    connection.sendall(before + data)


class Watch:
    """What this process unpickles, and where it listens."""

    def __init__(self) -> None:
        """From now on."""
        self.unpickled: list[str] = []
        sys.addaudithook(self._hear)  # stays for good: for programs of their own

    def write(self, path: Path) -> None:
        """{"unpickled": names of what was, "listening": addresses}."""
        addresses = sorted({address for address, _ in listening(os.getpid())})
        path.write_text(json.dumps({"unpickled": self.unpickled, "listening": addresses}))

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "pickle.find_class":
            self.unpickled.append(".".join(map(str, arguments)))
