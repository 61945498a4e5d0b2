"""A commented YAML for sources that were looked at: what was guessed and why, and everything else that can be
chosen, with its default."""

import dataclasses
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

from flows.config.values import descriptions
from stages.collect.sources.inspect import SourceGuess
from stages.config.collect import CollectConfig
from stages.config.expectations import ExpectConfig
from stages.foreign_text import escape

KINDS = ("urls", "folders", "tars", "parquets")
FIRST = ("contact", "limit")
"""Of the keys of `collect`, those that a first run is most likely to need."""
_WIDTH = 100


def first_config(name: str, guesses: Sequence[SourceGuess], path: str) -> str:
    """The YAML of a run on some sources; `flows.config.file.read_run` reads it.

    Args:
        name: of the run, a good one for references.
        guesses: its sources.
        path: where the YAML will lie; its first lines say what to do with it.
    """
    return "\n".join([*_head(name, path), *_collect(guesses), *_expect(), *_tail()]) + "\n"


def _head(name: str, path: str) -> Iterator[str]:
    yield from _comment(
        "Made by `sdflow init`. What was guessed says why; what begins with # holds as it stands.", 0
    )
    yield "#"
    for command, does in (
        (f"collect {path} --dry-run", "what would be asked of whom; no request is made"),
        (f"collect {path}", "the pictures"),
        (f"run {path}", "all the way to a model"),
    ):
        yield from _comment(f"  sdflow {command}   # {does}", 0, fill=False)
    yield ""
    yield f"name: {_value(name)}"
    yield "# store: store   # where results live: a folder, s3://bucket/prefix, gs:// or az://"
    yield ""


def _collect(guesses: Sequence[SourceGuess]) -> Iterator[str]:
    yield "collect:"
    for kind in KINDS:
        of_kind = [guess for guess in guesses if guess.kind == kind]
        if of_kind:
            yield f"  {kind}:"
        for guess in of_kind:
            yield from _source(guess)
            yield ""
    defaults = {key.name: key.default for key in dataclasses.fields(CollectConfig)}
    described = descriptions(CollectConfig)
    from_web = any(guess.kind == "urls" for guess in guesses)
    if from_web:
        yield from _comment(
            f"{described['contact']} A site's owner who can write to you need not block you.", 2
        )
        yield '  contact: ""'
    yield from _unchosen("limit", None, described["limit"], 2)
    web = {"agent", "max_bytes", "deadline", "retries", "patience", "connections", "per_second", "hosts"}
    web |= {"threads", "placeholder_urls"}
    for key, default in defaults.items():
        if key in KINDS or key in FIRST or (key in web and not from_web):
            continue
        yield from _unchosen(key, default, described[key], 2)


def _source(guess: SourceGuess) -> Iterator[str]:
    source = guess.source
    described = descriptions(type(source))
    yield from _comment(guess.saw, 4)
    yield f"    - name: {_value(source.name)}   # part of every picture's name: once collected, leave it"
    for key in dataclasses.fields(source):
        value = getattr(source, key.name)
        chosen = key.default is dataclasses.MISSING or value != key.default
        why = guess.why.get(key.name, "")
        if key.name == "name":
            continue
        if chosen or (why and key.name != "allow_networks" and value):
            yield from _comment(why, 6)
            yield f"      {key.name}: {_value(value)}"
        else:
            yield from _unchosen(key.name, key.default, f"{described[key.name]} {why}", 6)


def _expect() -> Iterator[str]:
    yield ""
    yield from _comment(
        "What every version of the dataset must be. One that is not has its number and is on hold: nothing "
        "learns from it until `sdflow approve` lets it through.",
        0,
    )
    yield "expect:"
    described = descriptions(ExpectConfig)
    for key in dataclasses.fields(ExpectConfig):
        default: Any = key.default_factory() if callable(key.default_factory) else key.default
        if key.name == "max_loss":
            yield from _comment(described[key.name], 2)
            yield f"  {key.name}: {_value(default)}"
        else:
            yield from _unchosen(key.name, default, described[key.name], 2)


def _tail() -> Iterator[str]:
    yield ""
    yield from _comment(
        "Further blocks, each with defaults of its own: dedup, score, filter, shard, train, evaluate (their "
        "keys are described in stages/config/run.py). A CLIP that judges images and captions is the usual "
        "first choice:",
        0,
    )
    yield "# score: {model: ViT-B-32, pretrained: laion2b_s34b_b79k}"
    yield "# filter: {min_similarity: 0.28}"


def _unchosen(key: str, default: Any, described: str, indent: int) -> Iterator[str]:
    """A key that keeps its default, as a comment, with its description."""
    yield from _comment(described, indent)
    yield f"{' ' * indent}# {key}: {_value(default)}"


def _comment(words: str, indent: int, fill: bool = True) -> Iterator[str]:
    """Words as comment lines; nothing in them ends the comment or is more than text."""
    if fill:
        words = " ".join(words.split())
    words = escape(words, 2000)
    lead = f"{' ' * indent}# "
    lines: Iterable[str] = textwrap.wrap(words, _WIDTH - indent - 2) if fill else [words]
    yield from (f"{lead}{line}" for line in lines)


def _value(value: Any) -> str:
    """A value as YAML that fits on the line of its key."""
    plain = list(value) if isinstance(value, tuple) else value
    # Others are escaped: among them are line ends that a reader of YAML would take for blanks.
    readable = "".join(map(str, plain) if isinstance(plain, list) else str(plain)).isprintable()
    text = yaml.safe_dump([plain], default_flow_style=True, allow_unicode=readable, width=float("inf"))
    return re.sub(r"^\[|\]\n$", "", text)
