"""Rows of results: what was measured, ours and the peer's."""

from benchmarks import schema
from benchmarks.schema import Row, row
from benchmarks.train.sides import Times
from benchmarks.train.task import Task

RESULT = schema.RESULTS / "train.json"
CACHED, UNCACHED = 1.5, 1.1
"""Goals: so many times a peer's images per second, with latents and text states cached and without."""
WAITING = 3.0
"""Goal: at most so many percent of the time are spent waiting for data."""
SCRIPT = "the logic of diffusers' train_text_to_image.py"
PLAIN = "a plain accelerate loop"
PAIRS = {
    "one process of two threads": ("ours", SCRIPT, "script"),
    "one process of two threads, no average, clipping or curves in the peer": ("ours", PLAIN, "plain"),
    "two processes of one thread": ("ours two", f"{SCRIPT}, started as ours are", "script two"),
    "each as it starts itself": ("ours two", f"{SCRIPT}, by accelerate launch --cpu", "script launched"),
}
"""How the machine's two cores are used -> (our side, the peer, its side)."""


def rows(task: Task, times: dict[str, Times], encode: float) -> list[Row]:
    """What the sides came to. encode: seconds that the cache's making takes, its process and all."""
    found: list[Row] = []
    for cached, goal in ((True, CACHED), (False, UNCACHED)):
        for pair, (ours, peer_name, peer) in PAIRS.items():
            mine, theirs = times[f"{ours}, {'cached' if cached else 'uncached'}"], times[peer]
            speeds = task.batch / mine.step, task.batch / theirs.step
            name = f"images per second, caches {'on' if cached else 'off'}, {pair}"
            unit = f"1/s, batches of {task.batch}; processor seconds a step and process "
            unit += f"{mine.cpu:.2f} against {theirs.cpu:.2f}"
            found.append(row(name, unit, *speeds, peer_name, goal))
    images = task.epochs * task.pictures
    steps = images / task.batch
    for pair, (ours, peer_name, peer) in PAIRS.items():
        mine, theirs = times[f"{ours}, cached"], times[peer]
        whole = images / (encode + mine.start + steps * mine.step)
        speed = images / (theirs.start + steps * theirs.step)
        name = f"images per second of {task.epochs} epochs, encoding and start included, {pair}"
        unit = f"1/s; encoding {encode:.0f} s; reckoned from the median step"
        found.append(row(name, unit, whole, speed, peer_name, CACHED))
    for pair, (ours, peer_name, peer) in PAIRS.items():
        mine, theirs = times[f"{ours}, cached"], times[peer]
        name = f"seconds from the command to the first step, {pair}"
        unit = f"s; to the step's end {mine.first:.1f} against {theirs.first:.1f}"
        found.append(row(name, unit, mine.start, theirs.start, peer_name))
    for side, one in times.items():
        if side.startswith("ours"):
            share = 100 * one.waiting
            name = f"share of time waiting for data, {side}"
            script = f"the bound that is set for it; the script waits {100 * times['script'].waiting:.1f} %"
            found.append(row(name, "%", share, WAITING, script))
    return found
