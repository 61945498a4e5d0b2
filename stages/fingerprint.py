"""What was asked and what came, as hashes: canonical JSON, canonical config, fingerprint and digest."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from stages.redaction import redact_url
from stages.regular_file import open_regular

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

OUTSIDE_DIGEST = ("logs/", "evidence/", "checkpoints/")
"""Result files below these names are kept but say nothing of what came: times, throughput, headers,
what a training was on its way."""


def canonical_json(value: JSON) -> bytes:
    """One spelling for equal values: sorted keys, no spaces, UTF-8. NaN and infinity raise ValueError."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def canonical_config(config: Any) -> dict[str, JSON]:
    """The fields of a config dataclass that can change a result and differ from their defaults.

    Fields with metadata ``neutral`` (workers, devices, batch of inference) are left out, and so is what
    equals its default: a default that changes must bump its stage's version. URLs are without user names,
    passwords and queries: these are secrets, and a signature that is renewed asks for nothing new.
    """
    chosen: dict[str, JSON] = {}
    for field in dataclasses.fields(config):
        if field.metadata.get("neutral"):
            continue
        canonical = _canonical(getattr(config, field.name))
        default = _default(field)
        if default is dataclasses.MISSING or canonical != _canonical(default):
            chosen[field.name] = canonical
    return chosen


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _canonical(value: Any) -> JSON:
    if dataclasses.is_dataclass(value):
        return canonical_config(value)
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    if isinstance(value, str):
        return redact_url(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)  # 2 and 2.0 are one request
    return value


def short_hash(digest: str) -> str:
    """The first 12 hex digits of a fingerprint or digest, by which people and commands name it."""
    return digest[:12]


def fingerprint_of(value: JSON) -> str:
    """64 hex digits that name a request."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def request_fingerprint(
    stage: str, version: int, config: Mapping[str, JSON], inputs: Mapping[str, str | None]
) -> str:
    """64 hex digits that name what is asked of a stage.

    Args:
        stage: its name.
        version: of the stage.
        config: canonical.
        inputs: name -> digest; None where that input is absent.
    """
    return fingerprint_of({"stage": stage, "version": version, "config": config, "inputs": inputs})


def digest_of(files: Mapping[str, str]) -> str:
    """64 hex digits that name a result.

    Args:
        files: artifact file name -> SHA-256 of its bytes, hex. Names below `OUTSIDE_DIGEST` are passed over.
    """
    counted = {name: sha for name, sha in files.items() if not name.startswith(OUTSIDE_DIGEST)}
    return fingerprint_of(counted)


def sha256_of(path: Path) -> str:
    """64 hex digits of a regular file's bytes; OSError where it is none, or cannot be read."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
