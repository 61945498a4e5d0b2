"""What can go on with a model's state, and what is refused before anything is trained: all of it at once."""

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sdmodel.config.conditions import ClassColumnConfig, ConditionsConfig, PictureSizeConfig
from sdmodel.config.learning import DataConfig, EmaConfig, LoraConfig, OptimizerConfig, ValidationConfig
from sdmodel.config.limits import Config
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.representation import AlignmentConfig, JointConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from stages.artifacts.artifact import Artifact, Funnel, Snapshot
from stages.artifacts.reference import refer
from stages.average import AverageConfig
from stages.config.run import ShardConfig
from stages.output import Output
from stages.pretrained.continuation import check_inputs, continuation_input, same_measure
from stages.stage import Stats, stage
from stages.store import Store, open_store

CONFIG = TrainConfig(images=100, batch=10, checkpoint_keep_state=True, texts=(TextConfig(rate=0.5),))
ON = replace(CONFIG, images=200, continue_from="models/m@1")
WHOLE = ("model", "averages", "optimizer")


@stage(version=1, kind="dataset", name="shard")
def pictures(source: Snapshot, config: ShardConfig, out: Output) -> Stats:
    """A dataset that nobody reads."""
    return Stats(Funnel(0, 0))


def trained(
    store: Store,
    config: TrainConfig = CONFIG,
    checkpoints: Mapping[int, tuple[str, ...]] = {40: WHOLE, 100: WHOLE, 120: ("averages",)},
    latents: Artifact | None = None,
) -> Artifact:
    """A model that holds such checkpoints, those with weights to go on with whole; filed as models/m."""

    @stage(version=5, kind="model", name="train")
    def train(dataset: Artifact, latents: Artifact | None, config: TrainConfig, out: Output) -> Stats:
        for images, names in checkpoints.items():
            others = ("metrics.jsonl", "state.json") if "model" in names else ()
            for name in (*others, *(f"{name}.safetensors" for name in names)):
                out.write(f"checkpoints/{images:09d}/{name}").write_text(f"{name} of {images}")
        return Stats(Funnel(0, 0))

    model = train(pictures(Snapshot("d"), ShardConfig(), store=store), latents, config, store=store)
    refer(store, "models/m", model)
    return model


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def test_the_newest_state_is_named_with_its_model(store: Store):
    model = trained(store)
    state = continuation_input(store, ON)
    assert state is not None
    assert (state.artifact.fingerprint, state.images) == (model.fingerprint, 100)
    assert state.digest == model.entry(f"{state.prefix}state.json").sha256
    assert continuation_input(store, CONFIG) is None


def test_what_may_change_on_the_way_may_change(store: Store):
    trained(store)
    other = replace(
        ON,
        batch=16,
        caption_dropout=0.2,
        data=DataConfig(flip=True, colour=0.1),
        texts=(TextConfig(rate=0.1),),
        optimizer=OptimizerConfig(
            kind="muon", muon_rate=1e-3, adam_rate=1e-4, decay="cosine", rates={"text.": 0.5}
        ),
        ema=EmaConfig(half_life=1000),
        noise=NoiseConfig(times="edm", mean=-1.0, shift=2.0, offset=0.1),
        sampling=SamplingConfig(steps=9),
        validation=ValidationConfig(every=50),
        checkpoint_every=50,
        checkpoint_keep_state=False,
        processes=2,
    )
    assert continuation_input(store, other) is not None


def test_how_conditions_and_hidden_features_are_learned_may_change_on_the_way(store: Store):
    def of(dropout: float, weight: float, column: str = "shape") -> TrainConfig:
        columns = (ClassColumnConfig(column=column, dropout=dropout, guidance=1 + dropout),)
        conditions = ConditionsConfig(
            columns=columns, size=PictureSizeConfig(on=True, dropout=dropout), dropout=dropout
        )
        alignment = AlignmentConfig(kind="dispersive", weight=weight, until=int(100 * weight))
        joint = JointConfig(kind="masked", weights="schedule", alpha=weight, hidden=weight)
        return replace(ON, conditions=conditions, alignment=alignment, joint=joint)

    trained(store, replace(of(0.2, 0.3), images=100, continue_from=""))
    assert continuation_input(store, of(0.3, 0.5)) is not None
    with pytest.raises(ValueError, match=r"train\.conditions\.columns\.0\.column='kind' is 'shape' in"):
        continuation_input(store, of(0.3, 0.5, "kind"))
    with pytest.raises(ValueError, match=r"train\.joint\.kind='none' is 'masked' in"):
        continuation_input(store, replace(of(0.3, 0.5), joint=JointConfig()))


def test_all_that_cannot_go_on_is_named_with_both_values_and_what_to_do(store: Store):
    trained(store)
    other = replace(
        ON,
        images=100,
        seed=3,
        size=64,
        text=TextConfig(width=32),
        texts=(TextConfig(rate=0),),
        data=DataConfig(augment=0.1),
        optimizer=OptimizerConfig(kind="adamw", frozen=("text.",)),
        ema=EmaConfig(lengths=(0.05, 0.1)),
        noise=NoiseConfig(schedule="linear", prediction="v", loss="learned"),
    )
    with pytest.raises(ValueError, match=r"^models/m@1: ") as error:
        continuation_input(store, other)
    mistakes = str(error.value).split("; train.")
    assert "train.images=100 must be above 100, which train/" in mistakes[0]
    settings = {
        "data.augment": ("0.1", "0.0"),
        "ema.lengths": (r"[0.05, 0.1]", "[]"),
        "noise.loss": ("'learned'", "'auto'"),
        "noise.prediction": ("'v'", "'auto'"),
        "noise.schedule": ("'linear'", "'auto'"),
        "optimizer.frozen": ("['text.']", "[]"),
        "optimizer.kind": ("'adamw'", "'muon'"),
        "seed": ("3", "0"),
        "size": ("64", "32"),
        "text.width": ("32", "64"),
        "texts.0.rate": ("0", "0.5"),
    }
    assert len(mistakes) == 1 + len(settings)
    for mistake, (key, (now, before)) in zip(mistakes[1:], settings.items(), strict=True):
        assert mistake.startswith(f"{key}={now} is {before} in train/")
        assert "leave it so, or begin with its weights alone, by train.start" in mistake


@pytest.mark.parametrize(
    ("sizes", "goes_on"),
    [
        (((32, 40), (64, 160)), True),
        (((32, 100), (64, 100)), False),
        (((32, 40), (128, 160)), False),
        (((32, 40), (64, 60), (128, 100)), False),
        ((), False),
    ],
)
def test_sizes_in_stages_go_on_at_the_last(store: Store, sizes: tuple[tuple[int, int], ...], goes_on: bool):
    trained(store, replace(CONFIG, size=64, sizes=((32, 40), (64, 60))))
    config = replace(ON, size=sizes[-1][0] if sizes else 64, sizes=sizes)
    if goes_on:
        assert continuation_input(store, config)
    else:
        with pytest.raises(ValueError, match=r"train\.sizes=.* is \[\[32, 40\], \[64, 60\]\] in "):
            continuation_input(store, config)


def test_a_model_without_its_state_is_refused_with_a_remedy(store: Store):
    trained(store, checkpoints={100: ("averages",)})
    words = r"continue_from='models/m@1' \(train/\w+\) holds no state .*train\.checkpoint_keep_state=true, or"
    with pytest.raises(ValueError, match=words):
        continuation_input(store, ON)


def test_what_no_training_made_is_refused(store: Store):
    @stage(version=2, kind="model", name="average")
    def average(model: Artifact, config: AverageConfig, out: Output) -> Stats:
        return Stats(Funnel(0, 0))

    refer(store, "models/mean", average(trained(store), AverageConfig(length=0.1), store=store))
    refer(store, "datasets/d", pictures(Snapshot("d"), ShardConfig(), store=store))
    for name, words in {
        "models/mean": "was made by average, and has no training's state",
        "datasets/d": "is no model but shard/",
        "models/none": "is no reference",
    }.items():
        with pytest.raises(ValueError, match=rf"train\.continue_from='{name}'.*{words}"):
            continuation_input(store, replace(ON, continue_from=name))


def test_low_rank_changes_hold_no_state_of_the_whole(store: Store):
    trained(store, replace(CONFIG, start="models/m@1", lora=LoraConfig(rank=4)))
    with pytest.raises(ValueError, match=r"was trained with lora\.rank=4: .* by train\.start"):
        continuation_input(store, ON)
    for other in ({"start": "models/m@1"}, {"lora": LoraConfig(rank=4)}):
        with pytest.raises(ValueError, match=r"continue_from='models/m@1', start=.*leave one out"):
            replace(ON, **other)


def test_frozen_models_and_latents_must_be_the_same(store: Store):
    text, other = Snapshot("t"), Snapshot("u")
    model = trained(store)
    check_inputs(model, {"latents": None, "labels": None})
    for inputs, words in (
        ({"texts.0": text}, "trained with another texts number 0 than"),
        ({"labels": other}, "trained with another labels than"),
        ({"latents": other}, "learned from pixels, and this config asks for latents"),
    ):
        with pytest.raises(ValueError, match=words):
            check_inputs(model, inputs)
    dataset = pictures(Snapshot("d"), ShardConfig(), store=store)
    with pytest.raises(ValueError, match="learned from latents, and this config asks for pixels"):
        check_inputs(trained(store, latents=dataset), {"latents": None})


def test_errors_are_compared_where_the_same_is_measured(store: Store):
    model = trained(store)
    own, other = (pictures(Snapshot(name), ShardConfig(), store=store) for name in "de")
    # Datasets are told apart by what is in them.
    other.manifest = replace(other.manifest, digest="0" * 64)
    assert same_measure(model, own, replace(ON, optimizer=OptimizerConfig(adam_rate=1e-5)))
    assert not same_measure(model, other, ON)
    assert not same_measure(model, own, replace(ON, validation=ValidationConfig(every=8, rows=9)))
    assert not same_measure(model, own, replace(ON, batch=20))


def test_every_key_of_a_training_is_one_that_may_change_or_may_not(store: Store):
    """A new field is refused until somebody has thought about it; these are those that were."""
    free = set[str]()
    trained(store, TrainConfig(images=100))

    def visit(config: Config, prefix: str) -> None:
        for field in dataclasses.fields(config):  # pyright: ignore[reportArgumentType]
            value: Any = getattr(config, field.name)
            if isinstance(value, Config):
                visit(value, f"{prefix}{field.name}.")
            elif not field.metadata.get("neutral"):
                free.add(f"{prefix}{field.name}")

    visit(TrainConfig(), "")
    from stages.pretrained import continuation

    allowed = {key for key in free if key.startswith(continuation.FREE) or continuation.SIGNED.fullmatch(key)}
    for prefix in continuation.FREE:
        assert any(key.startswith(prefix) for key in free), prefix
    shapes = {"objective", "network", "size", "seed", "ema.lengths", "optimizer.kind", "optimizer.frozen"}
    assert not allowed & shapes
    left_out = {f"{name}.{what}" for name in ("unet", "dit") for what in ("dropout", "stochastic_depth")}
    assert allowed & {key for key in free if key.startswith(("unet.", "dit.", "unet2d."))} == left_out
    assert allowed & {key for key in free if key.startswith("text.")} == {"text.rate", "text.dropout"}
