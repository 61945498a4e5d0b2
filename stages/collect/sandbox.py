"""Decoding in processes of its own, where a crash or a hang of a decoder takes one image and nothing else."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields

from stages.collect.rules import Rules
from stages.errors import RetryableError, Stopped
from stages.image.decoder_process import BODY_LENGTH, NO_MEMORY, READY, VERDICT_LENGTH
from stages.image.limits import ImageLimits
from stages.image.verdict import Verdict
from stages.reasons import Reason

PROGRAM = ("-m", "stages.image.decoder_process")
PULSE = 0.1
"""Seconds between two looks at whether all processes are gone."""
START = 60.0
"""Seconds that a process may take to start."""
PATIENCE = 5
"""Times the processor time that a decoder may take: so long it may wait without working."""
AHEAD = 32
"""Bodies that a process is sent before its first verdict is read: its verdicts must fit into the socket, or
both ends wait for the other to read."""
BYTES_PER_PIXEL = 20
"""What decoding may take. A JPEG takes 8, a picture that is turned or has alpha 12, a WebP with its canvases
17. Only a transparent, moving WebP of nearly `max_pixels` takes more, and gets DECODER_FAILED."""


class Sandbox:
    """Judges bytes in decoder processes; blocking, and called by any number of threads at once.

    A context manager: leaving it ends the processes, and has calls that are under way raise Stopped.
    Processes start when they are first needed, hear no Ctrl-C, and end with this one however it ends.
    """

    def __init__(self, workers: int, rules: Rules, seconds: float = 20.0, memory: int = 1 << 30) -> None:
        """A sandbox.

        Args:
            workers: processes; 0 takes one for each core that this process may use.
            rules: what is taken for a picture.
            seconds: processor time that decoding one image may take. So a busy machine changes no verdict; a
                decoder that waits without working is given up after `PATIENCE` times as long.
            memory: bytes that a process may take to decode; more where `rules.max_pixels` needs more.
        """
        patience = PATIENCE * seconds
        settings = {
            "parent": os.getpid(),
            "limits": {field.name: getattr(rules, field.name) for field in fields(ImageLimits)},
            "seconds": seconds,
            "memory": max(memory, BYTES_PER_PIXEL * rules.max_pixels),
        }
        self._closed = False
        self._decoders = [
            _Decoder(settings, patience) for _ in range(workers or len(os.sched_getaffinity(0)))
        ]
        self._free: queue.SimpleQueue[_Decoder] = queue.SimpleQueue()
        for decoder in self._decoders:
            self._free.put(decoder)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        for _decoder in self._decoders:
            while True:  # the thread that has a decoder hands it in when its process is gone
                for decoder in self._decoders:
                    decoder.kill()
                with suppress(queue.Empty):
                    self._free.get(timeout=PULSE).end()
                    break
        for decoder in self._decoders:  # calls to come get them, and learn that all is over
            self._free.put(decoder)

    def judge(self, batch: Sequence[bytes]) -> list[Verdict]:
        """A verdict for each image of a batch, in its order.

        An image whose decoder crashes, or takes more time or memory than it may, gets DECODER_FAILED. Since
        a decoder can suffer from what it decoded before, that is found out with the image alone in a new
        process.

        Raises RetryableError if no process starts; Stopped if the sandbox is left meanwhile.
        """
        decoder = self._free.get()
        try:
            verdicts: list[Verdict] = []
            while len(verdicts) < len(batch):
                decided, failure = self._judge(decoder, batch[len(verdicts) : len(verdicts) + AHEAD])
                verdicts += decided
                if failure:
                    alone, failure = self._judge(decoder, batch[len(verdicts) : len(verdicts) + 1])
                    verdicts += alone or [Verdict(Reason.DECODER_FAILED, failure)]
            return verdicts
        except BaseException:  # an interrupt may leave half an answer on the line
            decoder.end()
            raise
        finally:
            self._free.put(decoder)

    def _judge(self, decoder: "_Decoder", batch: Sequence[bytes]) -> tuple[list[Verdict], str]:
        try:
            verdicts, failure = ([], "closed") if self._closed else decoder.judge(batch)
        except RetryableError:
            if not self._closed:
                raise
            verdicts, failure = [], "closed"
        if failure and self._closed:
            raise Stopped("the decoders were ended")
        return verdicts, failure


class _Decoder:
    """A decoder process, started when it is needed and again when it has ended; one thread at a time."""

    def __init__(self, settings: Mapping[str, object], patience: float) -> None:
        self._settings = settings
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def judge(self, batch: Sequence[bytes]) -> tuple[list[Verdict], str]:
        """Verdicts up to the first image that the process did not survive, and what ended it, or ""."""
        line = self._line or self._start()
        verdicts: list[Verdict] = []
        try:
            for data in batch:
                line.sendall(BODY_LENGTH.pack(len(data)))
                line.sendall(data)
        except OSError:  # it has ended, or makes no progress: what it answered before is still to be read
            pass
        try:
            while len(verdicts) < len(batch):
                (size,) = VERDICT_LENGTH.unpack(_exactly(line, VERDICT_LENGTH.size))
                answer = json.loads(_exactly(line, size))
                verdicts.append(Verdict(**answer | {"repairs": tuple(answer["repairs"])}))
        except TimeoutError:
            self.end()
            return verdicts, f"decoder made no progress for {self._patience:g} s"
        except (OSError, ValueError):
            return verdicts, self._cause(self.end())
        return verdicts, ""

    def kill(self) -> None:
        """Kill the process, if there is one; the only thing that any thread may do at any time."""
        process = self._process
        if process is not None:
            process.kill()

    def end(self) -> int:
        """End the process, if there is one; its exit status, negative where a signal ended it."""
        process, line, self._process, self._line = self._process, self._line, None, None
        if line is not None:
            line.close()
        if process is None:
            return 0
        try:
            return process.wait(0.2)  # it may be on its way out: its own status says why
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _cause(self, status: int) -> str:
        if status == -signal.SIGPROF:
            return f"decoder took more than {self._settings['seconds']:g} s"
        if status == NO_MEMORY:
            return f"decoder takes more than {int(str(self._settings['memory'])) >> 20} MiB"
        return "decoder crashed"

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            settings = json.dumps({**self._settings, "fd": theirs.fileno()})
            self._process = subprocess.Popen(
                [sys.executable, "-P", *PROGRAM, settings],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # a terminal's Ctrl-C is for this process, which ends them
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | _ONE_THREAD,
            )
        self._line = ours
        ours.settimeout(START)
        try:
            started = _exactly(ours, len(READY)) == READY
        except OSError:
            started = False
        if not started:
            raise RetryableError(f"a decoder process did not start (status {self.end()})")
        ours.settimeout(self._patience)
        return ours


_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _exactly(line: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        got = line.recv(size - len(data))
        if not got:
            raise ConnectionResetError("the process has ended")
        data += got
    return bytes(data)
