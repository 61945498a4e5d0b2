"""Who changes a rate or a length after an interruption hears of the training that stands there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sdmodel.config.learning import OptimizerConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train.process.launch import Interrupted
from stages.artifacts.artifact import Artifact
from stages.errors import RetryableError
from stages.fingerprint import canonical_config
from stages.reporter import Silent
from stages.store import Store, open_store
from stages.train.train import train
from stages.train.unfinished import Unfinished, notice
from tests.stages import worlds

CONFIG = worlds.changed(images=1000, checkpoint_every=32)
INPUTS = ["dataset", "", "", ""]


def of(config: TrainConfig, images: int = 48, *inputs: str) -> Unfinished:
    return Unfinished(f"{images}", canonical_config(config), inputs or INPUTS, images)


def notice_of(config: TrainConfig, *others: Unfinished) -> str:
    return notice(others, canonical_config(config), INPUTS)


def test_it_says_how_far_it_was_what_differs_and_what_to_do():
    other = replace(CONFIG, images=2000, optimizer=replace(CONFIG.optimizer, muon_rate=0.02))
    assert notice_of(CONFIG, of(other, 1248)) == (
        "An unfinished training of other settings is in the store: it had seen 1,248 of 2,000 images, with "
        "images=2000 (here 1000), optimizer.muon_rate=0.02 (here null). To go on with it, run it with its "
        "own settings; this one begins anew."
    )


def test_defaults_are_named_where_a_config_leaves_them_out():
    plain = TrainConfig(optimizer=OptimizerConfig(muon_rate=0.5))
    text = notice_of(plain, of(TrainConfig(optimizer=OptimizerConfig(rates={"text.": 0.1}))))
    assert "of 150,000 images" in text
    assert "optimizer.muon_rate=null (here 0.5)" in text
    assert "optimizer.rates.text.=0.1 (here its default)" in text


def test_the_nearest_is_named_and_the_others_are_counted():
    far = replace(CONFIG, seed=3, batch=8, size=32)
    text = notice_of(CONFIG, of(far, 900), of(replace(CONFIG, seed=4), 10), of(replace(CONFIG, seed=5), 20))
    assert "had seen 20 of 1,000 images, with seed=5 (here 0)." in text
    assert text.endswith("(2 more of other settings are there.)")


def test_another_dataset_with_the_same_settings_is_near_and_with_others_it_is_not():
    text = notice_of(CONFIG, of(CONFIG, 64, "another", "", "", "", "text"))
    assert "with another dataset, another text. To go on" in text
    assert notice_of(CONFIG, of(replace(CONFIG, seed=3), 64, "another", "", "", "")) == ""
    assert notice_of(CONFIG) == ""
    assert "another version of the stage" in notice_of(CONFIG, of(CONFIG))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def dataset(store: Store, tmp_path: Path) -> Artifact:
    return worlds.dataset(store, tmp_path / "pictures", rows=12)


class Heard(Silent):
    """A reporter that keeps warnings."""

    def __init__(self) -> None:
        self.text: list[str] = []

    def warn(self, stage: str, text: str) -> None:
        self.text.append(text)


def test_a_changed_rate_after_an_interruption_is_noticed(
    store: Store, dataset: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(job_path: Path, *, on_checkpoint: Callable[[int, Path], None], **_: Any):
        folder = tmp_path / f"checkpoint-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "state.json").write_text("{}")
        on_checkpoint(96, folder)
        raise Interrupted("ended by somebody")

    monkeypatch.setattr("sdmodel.train.process.launch.train", interrupted)

    def heard(config: TrainConfig) -> list[str]:
        reporter = Heard()
        with pytest.raises(RetryableError):
            train(dataset, None, None, (), None, (), config, store=store, reporter=reporter)
        return [text for text in reporter.text if "unfinished" in text]

    assert heard(CONFIG) == []
    assert heard(CONFIG) == []  # it goes on with its own
    assert heard(replace(CONFIG, threads=1)) == []  # a neutral choice is no other training
    faster = replace(CONFIG, optimizer=replace(CONFIG.optimizer, adam_rate=0.01))
    (text,) = heard(faster)
    assert "it had seen 96 of 1,000 images, with optimizer.adam_rate=null (here 0.01)." in text
    assert heard(faster) == []
