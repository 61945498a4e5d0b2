"""Where two configs differ, as dotted keys: "optimizer.muon_rate"."""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

from sdmodel.config.conditions import ClassColumnConfig, NumberColumnConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from stages.fingerprint import JSON

ITEMS: Mapping[str, Any] = {
    "texts": TextConfig(),
    "conditions.columns": ClassColumnConfig(column="any"),
    "conditions.numbers": NumberColumnConfig(column="any"),
}
"""Keys of lists of blocks, and the defaults of an item."""


def differences(config: Mapping[str, JSON], other: Mapping[str, JSON]) -> dict[str, tuple[Any, Any]]:
    """Dotted key -> the values of two canonical configs of trainings (`canonical_config`), of those that
    differ, by key; a default where a config leaves the key out."""
    flat, against = dict(_flat(config)), dict(_flat(other))
    names = [name for name in sorted({*flat, *against}) if flat.get(name) != against.get(name)]
    return {name: (_value(name, flat), _value(name, against)) for name in names}


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """("optimizer.muon_rate", 0.01) of nested settings, and ("texts.0.width", 32) of lists of blocks."""
    for name, setting in value.items():
        if isinstance(setting, Mapping) and setting:
            yield from _flat(setting, f"{prefix}{name}.")
        elif prefix + name in ITEMS and isinstance(setting, Sequence):
            blocks: Sequence[Mapping[str, Any]] = setting
            yield prefix + name, len(blocks)
            for place, block in enumerate(blocks):
                yield from _flat(block, f"{prefix}{name}.{place}.")
        else:
            yield prefix + name, setting


def _value(name: str, config: Mapping[str, Any]) -> Any:
    """A setting, its default where a canonical config leaves it out."""
    if name in config:
        return config[name]
    default: Any = TrainConfig()
    if name in ITEMS:
        return len(attrgetter(name)(default))
    for items, item in ITEMS.items():
        if name.startswith(f"{items}."):
            default, name = item, name.removeprefix(f"{items}.").partition(".")[2]
    for part in name.split("."):
        default = getattr(default, part, "its default")
    return default
