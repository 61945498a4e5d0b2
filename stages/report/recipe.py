"""How to make an artifact again: the config of a run that asks for just this, and the command that uses it.

A manifest holds what can change a result, so the configs of an artifact and of what it was made from are the
blocks of a run's config. What they cannot say (which files lay at a path, which pictures must not be used,
what a password was) comes as conditions, in sentences: where they hold, the same fingerprint comes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

import yaml

from stages.artifacts.artifact import Artifact
from stages.artifacts.excerpt import origin_of
from stages.config.run import ON_BACKGROUND, Run
from stages.fingerprint import short_hash
from stages.foreign_text import escape
from stages.registry import REGISTERED, kinds

GIVEN = ("dataset", "model")
"""Inputs that `sdflow stage` takes by options of these names, in place of the config's own."""
REDACTED = ("?…", "//…@")
"""What redaction leaves of a query, and of user name and password."""


@dataclass(frozen=True)
class Recipe:
    """A run's config that gives an artifact, and what must hold for that."""

    artifact: Artifact
    values: Mapping[str, Any]
    """The config: plain values, without what is a default."""
    options: tuple[str, ...]
    """Of the command, besides the config."""
    conditions: tuple[str, ...]
    """What must be as it was, in sentences."""

    @property
    def file_name(self) -> str:
        """Of the config: "filter-0123456789ab.yaml"."""
        return f"{self.artifact.stage}-{short_hash(self.artifact.fingerprint)}.yaml"

    @property
    def command(self) -> str:
        """What a person types where the config lies."""
        return " ".join(["sdflow stage", self.artifact.stage, self.file_name, "--upstream", *self.options])

    @property
    def text(self) -> str:
        """The config as YAML; the conditions are comments at its top."""
        head = [f"Gives {self.artifact.stage} {self.artifact.fingerprint}:", f"    {self.command}"]
        head += [f"- {words}" for words in self.conditions]
        comments = "".join(f"# {escape(line, 1000)}\n" for line in head)
        return comments + yaml.safe_dump(dict(self.values), sort_keys=False, allow_unicode=True, width=100)


def run_stages() -> list[str]:
    """Stages that a run's config has a block for, in their order."""
    registered = {registration.name for registration in REGISTERED}
    return [field.name for field in fields(Run) if field.name in registered]


def recipe(artifact: Artifact, known: Mapping[str, Artifact], name: str) -> Recipe | None:
    """How to make an artifact again; None where its stage is no part of a run.

    Args:
        artifact: finished, or dropped.
        known: by fingerprint, what its ancestors are looked up in.
        name: of the run, "birds": what results are filed under.
    """
    order = run_stages()
    if artifact.stage not in order:
        return None
    chosen, conditions = {artifact.stage: artifact}, list[str]()
    options: dict[str, str] = {}
    queue = [artifact]
    while queue:
        current = queue.pop(0)
        conditions += _conditions(current)
        for input_name, recorded in current.manifest.inputs.items():
            if not recorded or not recorded["fingerprint"]:
                continue
            stage, fingerprint = recorded["stage"], recorded["fingerprint"]
            of_line = stage in order and order.index(stage) < order.index(current.stage)
            if of_line and stage not in chosen and fingerprint in known:
                chosen[stage] = known[fingerprint]
                queue.append(known[fingerprint])
            elif of_line and stage in chosen and chosen[stage].fingerprint == fingerprint:
                continue
            elif current is artifact and input_name in GIVEN:
                options[input_name] = f"--{input_name} {stage}/{short_hash(fingerprint)}"
                conditions.append(f"{stage}/{short_hash(fingerprint)} is in the store: it is read as it is.")
            elif of_line:
                conditions.append(
                    f"{current.short_name} read {stage}/{short_hash(fingerprint)} as {input_name}, which "
                    "this config does not make."
                )
    values = _values(name, {stage: chosen[stage] for stage in order if stage in chosen})
    if any(mark in text for text in _texts(values) for mark in REDACTED):
        conditions.append("Passwords and queries of addresses are not recorded: put them in where … stands.")
    return Recipe(artifact, values, tuple(options.values()), tuple(dict.fromkeys(conditions)))


def _values(name: str, chosen: Mapping[str, Artifact]) -> dict[str, Any]:
    """A run's config, of the configs of its results by stage."""
    values: dict[str, Any] = {"name": name}
    for stage, artifact in chosen.items():
        block = cast("dict[str, Any]", _plain(artifact.config))
        background = block.pop("background", None) if stage in ON_BACKGROUND else None
        if background is not None:
            values["background"] = background
        for key, value in _settings(artifact).items():
            if value is not None:
                _set(block, key, value)
        if block:
            values[stage] = block
    return values


def _conditions(artifact: Artifact) -> Iterator[str]:
    """What a config alone does not say of an artifact's request."""
    inputs, kind = artifact.manifest.inputs, kinds().get(artifact.kind)
    for name, recorded in inputs.items():
        if not recorded:
            continue
        if kind is not None and name in kind.supersedes:
            yield (
                f"{artifact.short_name} builds on {recorded['stage']}/{short_hash(recorded['fingerprint'])}, "
                "the edition before: in a store without that, everything is fetched anew and has another "
                "fingerprint."
            )
        elif not recorded["fingerprint"] and origin_of(name, inputs) == "outside":
            yield (
                f"{artifact.stage} reads {name} from outside of the store: what it is now must have the "
                f"digest {short_hash(recorded['digest'])}."
            )
    for key, value in _settings(artifact).items():
        if value is None:
            yield f"Which files they were is not recorded: set {artifact.stage}.{key} to where they lie."


def _settings(artifact: Artifact) -> Mapping[str, Any]:
    kind = kinds().get(artifact.kind)
    return kind.settings(artifact) if kind is not None and kind.settings is not None else {}


def _set(block: dict[str, Any], path: str, value: object) -> None:
    """Set a key of nested values, "text.start" or "texts.0.start"."""
    *keys, last = path.split(".")
    place: Any = block
    for key in keys:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    place[last] = value


def _plain(value: object) -> object:
    """A copy of JSON's values, of dicts and lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast("Mapping[Any, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[object]", value)]
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[Any, object]", value).values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _texts(item)
