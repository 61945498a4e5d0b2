"""The rules of a collection: checked once, given to those who judge, named beside every reason."""

import re
from dataclasses import dataclass, fields
from ipaddress import ip_network

from stages.config.collect import OPT_OUTS, CollectConfig
from stages.image import MAX_PIXELS
from stages.image.limits import BYTE_RULES, SIDE_RULES, ImageLimits
from stages.reasons import Reason

_LEAST = {
    "min_side": 1,
    "max_aspect": 1,
    "max_bytes": 1,
    "placeholder_urls": 2,
    "retries": 0,
    "patience": 0,
    "part_rows": 1,
    "connections": 0,
    "per_second": 0,
    "threads": 1,
    "workers": 0,
}
"""The least that a number of the config may be."""

_RULES = {
    **{rule.reason: rule.key for rule in (*SIDE_RULES, *BYTE_RULES)},
    Reason.BLANK: "drop_blank",
    Reason.PLACEHOLDER: "placeholder_urls",
    Reason.TIMEOUT: "deadline",
}


@dataclass(frozen=True, kw_only=True)
class Rules(ImageLimits):
    """What a collection keeps to, as in `CollectConfig`: limits of a picture, and of fetching it."""

    placeholder_urls: int
    deadline: float
    """Seconds."""
    retries: int
    """Rounds."""
    patience: float
    """Seconds."""

    @classmethod
    def of(cls, config: CollectConfig) -> "Rules":
        """Those of a config. ValueError names a field that makes no sense, its value and its limits."""
        _check(config)
        return cls(**{field.name: getattr(config, field.name) for field in fields(cls)})

    def rule(self, reason: str) -> str:
        """The rule that a reason stands on, as "min_side=16"; "" where it stands on none of these."""
        name = _RULES.get(Reason(reason))
        if name is None:
            return ""
        value = getattr(self, name)
        return f"{name}={str(value).lower() if isinstance(value, bool) else _brief(value)}"


def _brief(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _check(config: CollectConfig) -> None:
    for name, least in _LEAST.items():
        value = getattr(config, name)
        if not value >= least:  # no number is not
            raise ValueError(f"{name} must be at least {least}, not {value}")
    if not 1 <= config.max_pixels <= MAX_PIXELS:
        raise ValueError(f"max_pixels must lie in [1, {MAX_PIXELS}], not {config.max_pixels}")
    if not config.deadline > 0:
        raise ValueError(f"deadline must be above 0 seconds, not {config.deadline}")
    if config.limit is not None and config.limit < 1:
        raise ValueError(f"limit must be at least 1 or null, not {config.limit}")
    if not re.fullmatch(r"[A-Za-z_-]+", config.agent):
        raise ValueError(
            f'agent must be letters, "-" and "_" alone, by which robots.txt can name it, not {config.agent!r}'
        )
    if not config.contact.isprintable():
        raise ValueError(f"contact must be one line of printable characters, not {config.contact!r}")
    for host in config.hosts:
        for name in ("connections", "per_second"):
            value = getattr(host, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} of host {host.host!r} must be at least 0 or null, not {value}")
    for source in config.urls:
        _check_networks(source.name, source.allow_networks)
        for signal in source.obey:
            if signal not in OPT_OUTS:
                raise ValueError(
                    f"source {source.name!r} can obey {', '.join(OPT_OUTS)}; there is no {signal!r}"
                )
        if source.revalidate_days is not None and not source.revalidate_days >= 0:
            raise ValueError(
                f"revalidate_days of source {source.name!r} must be at least 0 or null, "
                f"not {source.revalidate_days}"
            )


def _check_networks(source: str, networks: tuple[str, ...]) -> None:
    for network in networks:
        try:
            ip_network(network)
        except ValueError as error:
            raise ValueError(
                f"allow_networks of source {source!r}: {error}; write networks like 10.1.0.0/16 or fd00::/8"
            ) from None
