"""Bytes on their way in: judged in batches by the decoders, and packed where they are a picture."""

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

Heard = Callable[[str, Verdict, int], None]
"""Told of each verdict: (key, verdict, bytes that came)."""


class BodyPipeline:
    """Takes the bytes of a part's questions, in any order, from one thread; judges while more come."""

    def __init__(self, pack: Pack, sandbox: Sandbox, forgotten: Mapping[str, int], heard: Heard) -> None:
        """An pipeline.

        Args:
            pack: gets the bytes of pictures.
            sandbox: judges.
            forgotten: SHA-256 of bytes that were taken down and must not be kept.
            heard: told of each verdict.
        """
        self._pack = pack
        self._forgotten = forgotten
        self._sandbox = sandbox
        self._heard = heard
        self._batch: list[tuple[str, bytes]] = []
        self._verdicts: dict[str, Verdict] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(AHEAD, "judge")
        self._pending: list[Future[None]] = []

    def take(self, key: str, data: bytes) -> None:
        """The body that a question brought."""
        self._batch.append((key, data))
        if len(self._batch) >= BATCH or sum(len(data) for _, data in self._batch) >= BATCH_BYTES:
            self._send()

    def refuse(self, key: str, verdict: Verdict) -> None:
        """A question that brought none."""
        with self._lock:
            self._verdicts[key] = verdict
        self._heard(key, verdict, 0)

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
        verdicts = [self._allowed(one) for one in self._sandbox.judge([data for _, data in batch])]
        with self._lock:
            for (key, data), verdict in zip(batch, verdicts, strict=True):
                self._verdicts[key] = verdict
                if not verdict.reason:
                    self._pack.add(verdict.sha256, verdict.format, data)
        for (key, data), verdict in zip(batch, verdicts, strict=True):
            self._heard(key, verdict, len(data))

    def _allowed(self, verdict: Verdict) -> Verdict:
        if verdict.sha256 not in self._forgotten:
            return verdict
        return Verdict(Reason.TAKEN_DOWN, "these bytes were taken down", verdict.sha256)
