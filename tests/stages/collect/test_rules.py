"""Rules of a collection: what makes sense, and how they are named."""

import dataclasses

import pytest

from stages.collect.rules import Rules
from stages.config.collect import CollectConfig, HostLimit, UrlSource
from stages.image import MAX_PIXELS
from stages.reasons import Reason


def test_the_defaults_make_sense() -> None:
    config = CollectConfig()
    rules = Rules.of(config)
    assert {name: getattr(config, name) for name in dataclasses.asdict(rules)} == dataclasses.asdict(rules)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("min_side", (0, -1), "at least 1"),
        ("max_pixels", (0, MAX_PIXELS + 1), f"\\[1, {MAX_PIXELS}\\]"),
        ("max_aspect", (0.5, float("nan")), "at least 1"),
        ("max_bytes", (0,), "at least 1"),
        ("placeholder_urls", (1,), "at least 2"),
        ("deadline", (0, -1, float("nan")), "above 0"),
        ("retries", (-1,), "at least 0"),
        ("patience", (-0.1,), "at least 0"),
        ("part_rows", (0,), "at least 1"),
        ("limit", (0,), "at least 1 or null"),
        ("connections", (-1,), "at least 0"),
        ("per_second", (-1,), "at least 0"),
        ("threads", (0,), "at least 1"),
        ("workers", (-1,), "at least 0"),
        ("agent", ("", "sd flow", "sdflow/1.0", "sdflow\n"), "letters"),
        ("contact", ("a@example.org\r\nX: y",), "one line"),
    ],
)
def test_numbers_out_of_range_are_named(name: str, values: tuple[object, ...], words: str) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"(?s)^{name} must .*{words}.*not "):
            Rules.of(CollectConfig(**{name: value}))


def test_sources_and_hosts_are_checked() -> None:
    def of(**options: object) -> Rules:
        return Rules.of(CollectConfig(urls=(UrlSource(name="web", tables=(), **options),)))

    of(allow_networks=("127.0.0.0/8", "::1"), obey=(), revalidate_days=0)
    with pytest.raises(ValueError, match=r"allow_networks of source 'web'.*'10.1.0.0/33'"):
        of(allow_networks=("10.1.0.0/33",))
    with pytest.raises(ValueError, match=r"'web' can obey robots, .*no 'robot'"):
        of(obey=("robot",))
    with pytest.raises(ValueError, match=r"revalidate_days of source 'web'.*-1"):
        of(revalidate_days=-1)
    with pytest.raises(ValueError, match=r"connections of host 'a.org'.*-1"):
        Rules.of(CollectConfig(hosts=(HostLimit(host="a.org", connections=-1),)))


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
