"""Rules of a collection: what makes sense, and how they are named."""

import dataclasses

from stages.collect.rules import Rules
from stages.config.collect import CollectConfig
from stages.reasons import Reason


def test_the_defaults_make_sense() -> None:
    config = CollectConfig()
    rules = Rules.of(config)
    assert {name: getattr(config, name) for name in dataclasses.asdict(rules)} == dataclasses.asdict(rules)


def test_rules_are_named_beside_reasons() -> None:
    rules = Rules.of(CollectConfig(deadline=2.5))
    assert {reason: rules.rule(reason) for reason in Reason if rules.rule(reason)} == {
        Reason.TOO_SMALL: "min_side=16",
        Reason.TOO_LARGE: "max_pixels=50000000",
        Reason.TOO_ELONGATED: "max_aspect=50",
        Reason.TOO_MANY_BYTES: "max_bytes=20000000",
        Reason.BLANK: "drop_blank=true",
        Reason.PLACEHOLDER: "placeholder_urls=10",
        Reason.TIMEOUT: "deadline=2.5",
    }
