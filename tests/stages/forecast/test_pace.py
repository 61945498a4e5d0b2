"""A speed is measured once: whoever asks again hears the same."""

from pathlib import Path
from typing import Any

import pytest

from sdmodel.train.job import JobSpec
from sdmodel.train.profile.measurement import Measurement
from stages.errors import Stopped
from stages.forecast.pace import PaceConfig, pace
from stages.output import Silent
from stages.store import open_store
from tests.stages import worlds


def test_a_speed_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    speeds = iter([123.4, 99.0, 61.0, 880.0])
    threads: list[int] = []

    def measure(job: JobSpec, stopping: Any) -> Measurement:
        threads.append(job.config.threads)
        return Measurement(
            parameters={"text": 3, "network": 4},
            learned=7,
            flops=1.0,
            images_per_second=next(speeds),
            mfu=None,
            waiting=0.0,
            memory=1,
            state=1,
            processes=1,
            device="cpu",
            seconds=5.0,
            start_up_seconds=1.0,
        )

    monkeypatch.setattr("sdmodel.train.profile.measure.measure", measure)
    store = open_store(str(tmp_path / "store"))
    dataset = worlds.dataset(store, tmp_path / "pictures", rows=12)
    first, again = (pace(dataset, PaceConfig(train=worlds.TINY, seconds=s), store=store) for s in (5.0, 9.0))
    assert again.cached
    assert again.json("pace.json")["images_per_second"] == pytest.approx(123.4)
    assert again.json("pace.json")["parameters"] == {"text": 3, "network": 4}
    other = pace(dataset, PaceConfig(train=worlds.changed(batch=16)), store=store)
    assert other.json("pace.json")["images_per_second"] == pytest.approx(99.0)
    single = pace(dataset, PaceConfig(train=worlds.TINY, threads=1), store=store)
    assert single.json("pace.json")["images_per_second"] == pytest.approx(61.0)
    assert threads == [0, 0, 1]
    elsewhere = PaceConfig(train=worlds.TINY, machine="64 cores")
    assert pace(dataset, elsewhere, store=store).json("pace.json")["images_per_second"] == pytest.approx(
        880.0
    )
    assert first.digest != other.digest


class Ending(Silent):
    """Wants the end from the start."""

    def stopping(self) -> bool:
        return True


def test_it_stops_when_it_is_asked_to(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    dataset = worlds.dataset(store, tmp_path / "pictures", rows=12)
    config = PaceConfig(train=worlds.TINY, processes=1, threads=1, seconds=600)
    with pytest.raises(Stopped, match="pace was asked to stop"):
        pace(dataset, config, store=store, reporter=Ending())
