"""The stage average: of what a training kept on its way, a model as it would be with another average."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sdmodel.config.learning import EmaConfig
from sdmodel.config.representation import JointConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.diffusion.generate import load
from sdmodel.train.posthoc import reconstruct
from sdmodel.train.process import launch
from stages.artifacts.activity import leases_in_use
from stages.artifacts.artifact import Artifact, Funnel
from stages.average import AverageConfig, average
from stages.config.run import ShardConfig
from stages.errors import Stopped
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import Store, open_store
from stages.takedown.holders import holders
from stages.train.train import train
from tests.stages import worlds
from tests.stages.training import in_this_process

JOINT = JointConfig(kind="masked", weights="uncertainty")
"""Learns weights beside the model's, which are averaged and not published."""
CONFIG = worlds.changed(
    images=256,
    size=8,
    checkpoint_every=64,
    checkpoint_keep_every=1,
    ema=EmaConfig(lengths=(0.05, 0.1)),
    joint=JOINT,
)
NEAR = {"rtol": 1e-4, "atol": 1e-5}
CHECKPOINT = "checkpoints/000000{}/averages.safetensors"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(tmp_path_factory.mktemp("average") / "store"))


@pytest.fixture(scope="module")
def model(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    dataset = worlds.dataset(store, tmp_path_factory.mktemp("pictures"), rows=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "train", in_this_process)
        return train(dataset, None, None, (), None, (), CONFIG, store=store)


def kept(model: Artifact, images: int, length: float) -> dict[str, torch.Tensor]:
    """What the training itself has averaged."""
    prefix = f"{length}:"
    file = load_file(model.path(CHECKPOINT.format(f"{images:03d}")))
    averaged = {key.removeprefix(prefix): value for key, value in file.items() if key.startswith(prefix)}
    return {name: value for name, value in averaged.items() if not name.startswith("joint.")}


TEXT = "model/text/0/model.safetensors"


def weights(model: Artifact) -> dict[str, torch.Tensor]:
    """By their names in the training."""
    text = load_file(model.path(TEXT)) if TEXT in model.files else {}
    own = load_file(model.path("model/model.safetensors"))
    return own | {f"text.encoders.0.{name}": value for name, value in text.items()}


@pytest.mark.slow
def test_a_length_of_the_trainings_own_is_found_again(store: Store, model: Artifact):
    for images, length in ((256, 0.1), (128, 0.05)):
        made = average(model, AverageConfig(length=length, images=images), store=store)
        for name, value in kept(model, images, length).items():
            torch.testing.assert_close(weights(made)[name], value, **NEAR)
        assert made.statistics["factors"][str(images)][str(length)] == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_another_length_is_made_of_all_that_was_kept(store: Store, model: Artifact):
    made = average(model, AverageConfig(length=0.2), store=store)
    checkpoints = [(at, one, kept(model, at, one)) for at in (64, 128, 192, 256) for one in (0.05, 0.1)]
    expected = reconstruct(checkpoints, 256, 0.2)
    assert expected
    for name, value in expected.items():
        torch.testing.assert_close(weights(made)[name], value, rtol=0, atol=0)
    assert any(not torch.allclose(expected[name], value) for name, value in kept(model, 256, 0.1).items())

    # All else is as in the model, and no bytes of it are stored again.
    assert made.kind == "model"
    assert made.names() == model.names("model/")
    for name in set(made.names()) - {"model/model.safetensors", TEXT}:
        assert made.entry(name) == model.entry(name)
    assert weights(made).keys() == weights(model).keys()
    said = made.statistics
    assert (said["objective"], said["images"], said["length"]) == ("diffusion", 256, 0.2)
    assert list(said["factors"]) == ["64", "128", "192", "256"]
    assert sum(f for one in said["factors"].values() for f in one.values()) == pytest.approx(1, abs=1e-4)
    assert made.funnel == model.funnel
    assert made.verify() == []
    assert average(model, AverageConfig(length=0.2), store=store).cached


@pytest.mark.slow
def test_it_draws_and_its_pictures_are_known(store: Store, model: Artifact, tmp_path: Path):
    made = average(model, AverageConfig(length=0.2), store=store)
    drawn = load(made.lay("model/", tmp_path)).sample(["a circle"], [0], SamplingConfig(steps=2))
    assert drawn.shape == (1, 3, 8, 8)
    assert torch.isfinite(drawn).all()

    source = made.input("model")
    assert source is not None
    assert source.fingerprint == model.fingerprint
    dataset = model.input("dataset")
    assert dataset is not None
    index, images = dataset.table("index"), next(one for one in dataset.ancestors() if one.kind == "images")
    uid = index[index["split"] == "train"]["uid"].iloc[0]
    pictures = images.table("images").set_index("uid")
    found = {one.artifact.fingerprint: one.rows for one in holders(store, {pictures.loc[uid, "sha256"]})}
    assert found[made.fingerprint] == found[model.fingerprint] == 1


class StopsAt:
    """A reporter that wants the end once it hears of something."""

    def __init__(self, words: str) -> None:
        self.words, self.notes = words, list[str]()

    def progress(self, stage: str, done: int, total: int, note: str) -> None:
        assert done <= total
        self.notes.append(note)

    def stopping(self) -> bool:
        return self.words in self.notes

    def warn(self, stage: str, words: str) -> None:
        raise AssertionError(words)


Files = Mapping[str, Mapping[str, torch.Tensor]]
VALUE = {"w": torch.ones(2)}
LENGTHS = {f"{profile}:w": torch.ones(2) for profile in ("half_life", "0.05", "0.1")}
WHOLE: Files = {"model/model.safetensors": VALUE, CHECKPOINT.format("064"): LENGTHS}


def by_hand(store: Store, files: Files, *, kind: str = "model", objective: str = "diffusion") -> Artifact:
    """What a training might have left."""

    @stage(version=1, kind=kind, name="train")
    def handmade(config: ShardConfig, out: Output) -> Stats:
        for name, tensors in files.items():
            save_file(dict(tensors), out.write(name))
        return Stats(Funnel(1, 1), {"objective": objective})

    return handmade(ShardConfig(), store=store)


@pytest.fixture
def own(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def test_what_is_not_averaged_stays(own: Store):
    tensors = {"w": torch.zeros(2), "frozen": torch.full((2,), 3.0), "seen": torch.tensor(7)}
    made = average(
        by_hand(own, {**WHOLE, "model/model.safetensors": tensors}), AverageConfig(length=0.1), store=own
    )
    found = weights(made)
    assert found["w"].tolist() == pytest.approx([1, 1])
    assert found["frozen"].tolist() == [3, 3]
    assert found["seen"].item() == 7


def test_a_text_encoder_in_a_folder_of_its_own_is_averaged_too(own: Store):
    name = "model/text_encoder/model.safetensors"
    state = LENGTHS | {f"{length}:text.model.layer": torch.full((2,), 5.0) for length in ("0.05", "0.1")}
    files = {**WHOLE, name: {"layer": torch.zeros(2)}, CHECKPOINT.format("064"): state}
    made = average(by_hand(own, files), AverageConfig(length=0.1), store=own)
    assert load_file(made.path(name))["layer"].tolist() == pytest.approx([5, 5])
    assert weights(made)["w"].tolist() == pytest.approx([1, 1])


def test_asked_to_stop_it_leaves_nothing(own: Store):
    model = by_hand(own, WHOLE)
    for words in ("opening averages", "averaging weights"):
        reporter = StopsAt(words)
        with pytest.raises(Stopped):
            average(model, AverageConfig(length=0.1), store=own, reporter=reporter)
        assert reporter.notes[-1] == words
    assert average.find(model, config=AverageConfig(length=0.1), store=own) is None
    assert leases_in_use(own) == []
    assert list(own.scratch().iterdir()) == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (AverageConfig(length=0), r"length=0 must be above 0 and at most 0\.289"),
        (AverageConfig(length=0.3), r"length=0\.3 must"),
        (AverageConfig(length=0.1, images=65), "images=65 must be 1 to 64, the last checkpoint"),
        (AverageConfig(length=0.1, images=-1), "images=-1 must"),
    ],
)
def test_out_of_range_it_says_the_limits(own: Store, config: AverageConfig, words: str):
    with pytest.raises(ValueError, match=words):
        average(by_hand(own, WHOLE), config, store=own)


@pytest.mark.parametrize(
    ("files", "kind", "objective", "words"),
    [
        ({}, "dataset", "", "is no model but dataset"),
        (
            {"model/model.safetensors": VALUE},
            "model",
            "diffusion",
            r"kept no averages; train with train\.ema\.lengths=.* train\.checkpoint_keep_every=1",
        ),
        (
            WHOLE | {CHECKPOINT.format("064"): {"half_life:w": torch.ones(2)}},
            "model",
            "diffusion",
            r"a half-life alone.* train\.ema\.lengths",
        ),
        (
            {"model/encoder.safetensors": VALUE, CHECKPOINT.format("064"): LENGTHS},
            "model",
            "selfsupervised",
            "objective selfsupervised has published its weights in another form.*\\(w is in none",
        ),
    ],
)
def test_of_what_it_cannot_be_made_it_says_so(
    own: Store, files: Files, kind: str, objective: str, words: str
):
    with pytest.raises(ValueError, match=words):
        average(by_hand(own, files, kind=kind, objective=objective), AverageConfig(length=0.1), store=own)


def test_an_average_of_an_average_is_asked_of_its_model(own: Store):
    model = by_hand(own, WHOLE)
    made = average(model, AverageConfig(length=0.1), store=own)
    with pytest.raises(ValueError, match=f"is an average itself; name the model .* {model.fingerprint[:12]}"):
        average(made, AverageConfig(length=0.2), store=own)
