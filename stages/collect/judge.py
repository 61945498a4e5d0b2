"""What bytes are taken for an image: every file is decoded once, here, before it counts as collected."""

import hashlib
from dataclasses import dataclass

from stages.config import CollectConfig
from stages.image import MAX_PIXELS, ImageError, decode, inspect
from stages.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The limits of a collection, as in `CollectConfig`; plain data, so that workers can be told."""

    min_side: int
    max_pixels: int
    max_bytes: int
    deadline: float
    retries: int

    @classmethod
    def of(cls, config: CollectConfig) -> "Rules":
        """Those of a config; ValueError where one makes no sense."""
        if not 1 <= config.max_pixels <= MAX_PIXELS:
            raise ValueError(f"max_pixels must lie in [1, {MAX_PIXELS}], not {config.max_pixels}")
        for name, least in (
            ("min_side", 1),
            ("max_bytes", 1),
            ("retries", 0),
            ("part_rows", 1),
            ("threads", 1),
        ):
            if getattr(config, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(config, name)}")
        if config.deadline <= 0:
            raise ValueError(f"deadline must be above 0 seconds, not {config.deadline}")
        if config.limit is not None and config.limit < 1:
            raise ValueError(f"limit must be at least 1 or null, not {config.limit}")
        return cls(
            min_side=config.min_side,
            max_pixels=config.max_pixels,
            max_bytes=config.max_bytes,
            deadline=config.deadline,
            retries=config.retries,
        )

    def rule(self, reason: str) -> str:
        """The rule that a reason stands on, e.g. "min_side=16"; "" where it stands on none."""
        if reason == Reason.FORBIDDEN_ADDRESS:
            return "allow_private=false"
        name = {
            Reason.TOO_SMALL: "min_side",
            Reason.TOO_LARGE: "max_pixels",
            Reason.TOO_MANY_BYTES: "max_bytes",
            Reason.TIMEOUT: "deadline",
        }.get(Reason(reason))
        return f"{name}={getattr(self, name)}" if name else ""


@dataclass(frozen=True)
class Verdict:
    """What became of a row: a picture where `reason` is "", else why not and what was found."""

    reason: str = ""
    detail: str = ""
    sha256: str = ""
    format: str = ""
    width: int = 0  # pixels, as displayed
    height: int = 0


def judge(data: bytes, rules: Rules) -> Verdict:
    """Whether these bytes are a whole picture of a size that is wanted."""
    if len(data) > rules.max_bytes:
        return Verdict(Reason.TOO_MANY_BYTES, f"{len(data)} bytes")
    try:
        header = inspect(data)
        refused = judge_size(header.width, header.height, rules)
        if refused is not None:  # its pixels are never asked for
            return refused
        height, width, _ = decode(data, max_pixels=rules.max_pixels).shape
    except ImageError as error:
        return Verdict(error.reason, error.detail)
    sha256 = hashlib.sha256(data).hexdigest()
    return judge_size(width, height, rules) or Verdict("", "", sha256, header.format, width, height)


def judge_size(width: int, height: int, rules: Rules) -> Verdict | None:
    """The refusal of a size in pixels; None if it is wanted."""
    if min(width, height) < rules.min_side:
        return Verdict(Reason.TOO_SMALL, _sides(width, height))
    if width * height > rules.max_pixels:
        return Verdict(Reason.TOO_LARGE, _sides(width, height))
    return None


def _sides(width: int, height: int) -> str:
    # The shorter first: a header knows the stored order only, and one picture must always get the same words.
    return f"sides of {min(width, height)} and {max(width, height)} pixels"
