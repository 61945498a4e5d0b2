"""The pipeline of bodies: judged in batches by decoders while more come, packed where they are a picture."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from stages.collect.pack import Pack
from stages.collect.sandbox import Sandbox
from stages.image.verdict import Verdict
from stages.reasons import Reason

BATCH = 16
"""Pictures that travel to a decoder together, ..."""
BATCH_BYTES = 4_000_000
"""... or fewer where they are large."""
AHEAD = 3
"""Batches of a part that may wait for their verdict, so that memory holds no more."""

OnVerdict = Callable[[str, Verdict, int], None]
"""Called with each verdict: (key, verdict, bytes that came)."""


class BodyPipeline:
    """Takes the bodies of a part's rows, in any order, from one thread; judges while more come."""

    def __init__(
        self, pack: Pack, sandbox: Sandbox, taken_down: Mapping[str, int], on_verdict: OnVerdict
    ) -> None:
        """A pipeline.

        Args:
            pack: gets the bytes of pictures.
            sandbox: judges.
            taken_down: SHA-256 of bytes that must not be stored.
            on_verdict: gets each verdict, from any thread.
        """
        self._pack = pack
        self._taken_down = taken_down
        self._sandbox = sandbox
        self._on_verdict = on_verdict
        self._batch: list[tuple[str, bytes]] = []
        self._verdicts: dict[str, Verdict] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(AHEAD, "judge")
        self._pending: list[Future[None]] = []

    def take(self, key: str, data: bytes) -> None:
        """The body of a row."""
        self._batch.append((key, data))
        if len(self._batch) >= BATCH or sum(len(data) for _, data in self._batch) >= BATCH_BYTES:
            self._send()

    def refuse(self, key: str, verdict: Verdict) -> None:
        """A row without a body."""
        with self._lock:
            self._verdicts[key] = verdict
        self._on_verdict(key, verdict, 0)

    def finish(self) -> dict[str, Verdict]:
        """Key -> verdict of everything that was taken or refused, once all are there.

        Raises what judging raised.
        """
        try:
            self._send()
            for pending in self._pending:
                pending.result()
        finally:
            self._threads.shutdown(wait=True, cancel_futures=True)
        return self._verdicts

    def _send(self) -> None:
        if not self._batch:
            return
        while len(self._pending) >= AHEAD:
            self._pending.pop(0).result()
        self._pending.append(self._threads.submit(self._judge, self._batch))
        self._batch = []

    def _judge(self, batch: list[tuple[str, bytes]]) -> None:
        judged = self._sandbox.judge([data for _, data in batch])
        verdicts = [self._without_taken_down(verdict) for verdict in judged]
        with self._lock:
            for (key, data), verdict in zip(batch, verdicts, strict=True):
                self._verdicts[key] = verdict
                if not verdict.reason:
                    self._pack.add(verdict.sha256, verdict.format, data)
        for (key, data), verdict in zip(batch, verdicts, strict=True):
            self._on_verdict(key, verdict, len(data))

    def _without_taken_down(self, verdict: Verdict) -> Verdict:
        if verdict.sha256 not in self._taken_down:
            return verdict
        return Verdict(Reason.TAKEN_DOWN, "these bytes were taken down", verdict.sha256)
