"""Judges hostile bodies, made by code from valid images of every format, in decoder processes.

    python -m benchmarks.hostile [--bodies 200]

The number of a body is its seed. Each is judged alone, then all again in batches of 16. Every one must get
exactly one verdict, the same both times, in bounded time, and no decoder process may come to hold 1 GiB.
Writes benchmarks/results/hostile.json.
"""

import argparse
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

from benchmarks import schema
from benchmarks.hostile_bodies import body
from stages.collect.rules import Rules
from stages.collect.sandbox import Sandbox
from stages.config.collect import CollectConfig

RESULT = schema.RESULTS / "hostile.json"
SECONDS = 5.0
"""Processor time for one image."""
BOUND = 1024
"""MiB that a decoder process may come to hold."""
BATCH = 16


class Watch:
    """The most memory that any child process has held: asked of the kernel every few milliseconds."""

    def __init__(self) -> None:
        self.peak = 0
        """Bytes."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            for child in psutil.Process().children():
                place = Path(f"/proc/{child.pid}")
                try:
                    program = (place / "cmdline").read_bytes()
                    told = (place / "status").read_text()
                except OSError:
                    continue
                if (
                    b"stages.image.decoder_process" not in program
                ):  # it has not begun: the memory is still its parent's
                    continue
                held = [int(line.split()[1]) for line in told.splitlines() if line.startswith("VmHWM")]
                self.peak = max(self.peak, *(kilobytes << 10 for kilobytes in held), 0)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=int, default=200)
    count = parser.parse_args().bodies
    made = [body(seed) for seed in range(count)]
    reasons: Counter[str] = Counter()
    slowest, alone = (0.0, ""), []
    with Watch() as watch, Sandbox(1, Rules.of(CollectConfig()), SECONDS) as sandbox:
        for seed, (name, data) in enumerate(made):
            began = time.perf_counter()
            verdicts = sandbox.judge([data])
            slowest = max(slowest, (time.perf_counter() - began, name))
            alone += verdicts
            assert len(verdicts) == 1
            reasons[str(verdicts[0].reason) or "a picture"] += 1
            print(
                f"{seed:3} {name:24} {len(data):9} {verdicts[0].reason:18} {verdicts[0].detail[:70]}",
                flush=True,
            )
        bodies = [data for _, data in made]
        again = [
            verdict for at in range(0, count, BATCH) for verdict in sandbox.judge(bodies[at : at + BATCH])
        ]
    same = sum(first == second for first, second in zip(alone, again, strict=True))
    peak = watch.peak >> 20
    print(f"{same} of {count} alike in batches; {peak} MiB; slowest {slowest}; {dict(reasons)}")
    rows = [
        schema.row(
            "hostile bodies with exactly one verdict, the same alone and in batches of 16",
            f"of {count}, seeds 0 to {count - 1}: {json.dumps(dict(sorted(reasons.items())))}",
            same,
            count,
            "all of them",
        ),
        schema.row(
            "peak memory of a decoder process over these bodies",
            "MiB, at most",
            peak,
            BOUND,
            "the bound that is set for it",
        ),
        schema.row(
            "longest wait for a verdict on one of these bodies",
            f"s, on {slowest[1]}; bounded by twice {SECONDS:g} s of work, ten times that in all",
            slowest[0],
            10 * SECONDS,
            "the bound that is set for it",
        ),
    ]
    schema.write(RESULT, rows)
    return schema.report(rows)


if __name__ == "__main__":
    sys.exit(main())
