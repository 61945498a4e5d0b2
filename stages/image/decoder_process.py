"""The inside of a sandboxed decoder process: `python -m stages.image.decoder_process`, started by
`stages.collect.sandbox`.

It imports Pillow and NumPy alone, so that it starts fast and stays small. Bodies come over a socket, each
behind its length (8 bytes, little-endian); verdicts go back as JSON, each behind its length (4 bytes), in the
same order. Nothing is pickled. What must not happen to the process that collects happens here: a decoder that
crashes, that takes more memory than it may (the process ends with `NO_MEMORY`), or more processor time
(SIGPROF ends it).
"""

import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import warnings
from pathlib import Path

from PIL import AvifImagePlugin

from stages.image.limits import ImageLimits
from stages.image.verdict import judge

NO_MEMORY = 77
"""Exit status of a process that was not given the memory it asked for."""
READY = b"ready\n"
BODY_LENGTH, VERDICT_LENGTH = struct.Struct("<Q"), struct.Struct("<I")


def main() -> None:
    """Answer until the other end of the socket is closed, or the process that started this one is gone.

    The one argument is JSON: fd of the socket, parent's pid, `ImageLimits`, seconds of processor time for a
    body, bytes of memory beyond what the process has when it starts.
    """
    settings = json.loads(sys.argv[1])
    limits = ImageLimits(**settings["limits"])
    connection = socket.socket(fileno=settings["fd"])
    _confine(settings["memory"])
    connection.sendall(READY)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders print what strangers sent
    while (data := _receive(connection, settings["parent"])) is not None:
        signal.setitimer(signal.ITIMER_PROF, settings["seconds"])
        try:
            verdict = judge(data, limits)
        except MemoryError:
            os._exit(NO_MEMORY)
        signal.setitimer(signal.ITIMER_PROF, 0)
        answer = json.dumps(vars(verdict)).encode()
        connection.sendall(VERDICT_LENGTH.pack(len(answer)) + answer)


def _confine(memory: int) -> None:
    warnings.simplefilter("ignore")
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the cores are shared with other decoders
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _receive(connection: socket.socket, parent: int) -> bytes | None:
    while not select.select([connection], [], [], 1.0)[0]:
        if os.getppid() != parent:
            return None
    size = _exactly(connection, BODY_LENGTH.size)
    return None if size is None else _exactly(connection, BODY_LENGTH.unpack(size)[0])


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            return None
        view = view[count:]
    return bytes(data)


if __name__ == "__main__":
    main()
