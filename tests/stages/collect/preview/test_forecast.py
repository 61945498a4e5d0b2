"""Time and space, against what the limits say in words."""

import pytest

from stages.collect.preview.forecast import SHOWN, TYPICAL_BYTES, FetchCosts, forecast_fetch
from stages.config.collect import CollectConfig, HostLimit

QUICK = FetchCosts(seconds=0.1)


def seconds(*hosts: tuple[str, int], **limits: object) -> float:
    config = CollectConfig(**{"threads": 10, "connections": 4, "per_second": 20.0, **limits})  # pyright: ignore
    return forecast_fetch(hosts, 0, config, QUICK).seconds


def test_the_longest_host_or_all_threads_decide() -> None:
    assert seconds(("a", 200)) == pytest.approx(200 / 20)  # 20 a second
    assert seconds(("a", 200), connections=1) == pytest.approx(200 / 10)  # one at a time, 0.1 s each
    assert seconds(("a", 200), per_second=0) == pytest.approx(200 / 40)  # four at a time
    assert seconds(("a", 200), per_second=0, connections=0) == pytest.approx(200 / 100)  # ten threads
    assert seconds(*((f"h{number}", 200) for number in range(100))) == pytest.approx(20_000 / 100)
    assert seconds() == 0


def test_limits_of_a_host_stand_above_those_of_all() -> None:
    hosts = (
        HostLimit(host="b.a.example", connections=1, per_second=1.0),
        HostLimit(host="*.a.example", per_second=0),
        HostLimit(host="c.a.example", per_second=1.0),  # the first that fits counts
    )
    forecast = forecast_fetch(
        [("b.a.example", 30), ("c.a.example", 20), ("a.example", 10)],
        0,
        CollectConfig(hosts=hosts, threads=1000),
        QUICK,
    )
    assert [host.seconds for host in forecast.greatest] == pytest.approx([30, 0.5, 0.5])
    assert (forecast.slowest, forecast.seconds) == ("b.a.example", pytest.approx(30))


def test_space_is_that_of_the_urls_and_of_the_files() -> None:
    forecast = forecast_fetch([(f"h{number}", 2) for number in range(30)], 5, CollectConfig(), FetchCosts())
    assert forecast.bytes == 60 * TYPICAL_BYTES + 5
    assert (forecast.urls, forecast.hosts, len(forecast.greatest)) == (60, 30, SHOWN)
