"""A line of two stages."""

from dataclasses import dataclass

from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.output import Output
from stages.stage import Stats, stage


@dataclass(frozen=True, kw_only=True)
class Words:
    words: tuple[str, ...] = ("one", "two", "three")
    place: str = ""


@stage(version=3, kind="spelling")
def spell(source: Snapshot | None, config: Words, out: Output) -> Stats:
    out.write("words.txt").write_text(" ".join(config.words))
    return Stats(Funnel(len(config.words) + 1, len(config.words), {"too_small": 1}))


@stage(version=1, kind="count")
def count_(spelling: Artifact, before: Artifact | None, config: Words, out: Output) -> Stats:
    out.check()
    out.write("count.json").write_text("3")
    return Stats(Funnel(3, 3))
