"""Rows with captions, rows with classes alone and rows with nothing train one model in one batch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sdmodel.condition import Condition, ConditionValues
from sdmodel.conditions.class_column import ClassLayout
from sdmodel.conditions.conditions import Conditions
from sdmodel.conditions.interface import ConditionLayout, Placement
from sdmodel.conditions.number import NumberLayout
from sdmodel.conditions.picture_size import PictureSizeLayout
from sdmodel.config.conditions import ClassColumnConfig, ConditionsConfig
from sdmodel.config.learning import LoraConfig, OptimizerConfig
from sdmodel.config.model import DiTConfig, UNet2DConfig, UNetConfig
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.diffusion.cost import CaptionShape, step_cost
from sdmodel.diffusion.generate import TextToImage, load
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.latents.space import PIXELS
from sdmodel.train.optim.optimizers import optimizers

CAPTIONS = ["a red half", "a blue half"]
COLOURS = torch.tensor([[0.8, -0.8, -0.8], [-0.8, -0.8, 0.8]])
NAMES = ("red", "blue")
COLOUR = ClassLayout("colour", 2.0, tuple(sorted(NAMES)), False)
LAYOUTS: tuple[ConditionLayout, ...] = (
    PictureSizeLayout(1.0, 40, 150, 120),
    NumberLayout("score", 1.0, 0.5, 0.25, 0.0, 1.0),
    COLOUR,
)
CONFIG = TrainConfig(
    size=8,
    text=TextConfig(width=16, heads=2, queries=2, length=8, vocabulary=300),
    unet=UNetConfig(channels=(8, 16), heads=2, condition=16, fine=4),
    unet2d=UNet2DConfig(channels=(8, 16), attention=(False, True), blocks=1, head_width=8, groups=4),
    dit=DiTConfig(width=16, layers=1, heads=2, patch=4),
    conditions=ConditionsConfig(columns=(ClassColumnConfig(column="colour"),), width=8),
)
NETWORKS = ("unet", "dit", "unet2d")


def batch(rows: int, start: int = 0, end: int | None = None) -> Batch:
    """Plain images, red and blue in turn: a third with a caption, a third with a class alone, a third with
    nothing."""
    index = torch.arange(rows)[start:end]
    which, known = index % 2, index % 3
    return Batch(
        images=COLOURS[which][:, :, None, None].repeat(1, 1, 8, 8),
        captions=[CAPTIONS[i] if kind == 0 else "" for i, kind in zip(which, known, strict=True)],
        uids=[str(i) for i in index.tolist()],
        index=index,
        size=rows,
        start=start,
        conditions={
            "colour": COLOUR.parse([NAMES[i] if k == 1 else None for i, k in zip(which, known, strict=True)])
        },
    )


def objective(
    layouts: tuple[ConditionLayout, ...] = (COLOUR,), std: float = 0.0, **changes: Any
) -> DiffusionObjective:
    torch.manual_seed(0)
    made = DiffusionObjective(replace(CONFIG, **changes), CAPTIONS * 4, conditions=layouts)
    for parameter in made.modules.parameters():
        if std:
            torch.nn.init.normal_(parameter, std=std)
    return made


def saved(made: DiffusionObjective, folder: Path) -> Path:
    folder.mkdir()
    state = made.modules.state_dict()
    made.save(
        folder, {key: value.clone(memory_format=torch.contiguous_format) for key, value in state.items()}
    )
    return folder


def loss(made: DiffusionObjective, rows: Batch) -> Tensor:
    return made.modules(rows)["denoising"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TextToImage:
    made = objective(noise=NoiseConfig(mean=-2.5))  # where there is much noise, the colour is not seen
    opts = optimizers(made.modules, OptimizerConfig(muon_rate=0.02, adam_rate=0.01).optimization(24))
    for step in range(150):
        loss(made, replace(batch(24), seed=step)).backward()
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = (0.02, 0.01)[opt is opts[1]] * (1 - step / 150)
            opt.step()
            opt.zero_grad()
    return load(saved(made, tmp_path_factory.mktemp("partly") / "model"))


def test_one_model_draws_by_caption_by_class_and_by_both(trained: TextToImage):
    for captions, classes in (
        (CAPTIONS * 2, [None] * 4),
        ([""] * 4, [*NAMES] * 2),
        (CAPTIONS * 2, [*NAMES] * 2),
    ):
        images = trained.sample(captions, [0, 1, 2, 3], conditions={"colour": classes})
        means = images.mean((2, 3))
        assert torch.cdist(means, COLOURS).argmin(1).tolist() == [0, 1, 0, 1], (captions, classes)
        assert (means - COLOURS.repeat(2, 1)).abs().mean() < 0.25


def test_a_row_is_measured_with_its_own_condition(trained: TextToImage):
    """The class says what the picture is: errors are smaller than without it."""
    made = objective()
    made.modules.load_state_dict(trained.model.state_dict())
    made.modules.eval()
    rows = batch(24)
    classes = [NAMES[i % 2] for i in range(24)]
    known = replace(rows, captions=[""] * 24, conditions={"colour": COLOUR.parse(classes)})
    with torch.no_grad():
        with_class = made.errors(known)["squared"].sum()
        without = made.errors(replace(known, conditions={}))["squared"].sum()
    assert with_class < 0.7 * without


@pytest.mark.parametrize("tokens", [False, True])
def test_absent_is_dropped_is_null_to_the_bit(tokens: bool):
    torch.manual_seed(0)
    conditions = Conditions(LAYOUTS, Placement(6, tokens))
    for parameter in conditions.parameters():
        torch.nn.init.normal_(parameter)
    captions = Condition(torch.randn(4, 5), torch.randn(4, 3, 6), torch.ones(4, 3, dtype=torch.bool))
    given = {
        "size": LAYOUTS[0].parse(["40x150", 100, 50, 60]),
        "score": LAYOUTS[1].parse([0.1, 0.9, 1.0, 0.0]),
        "colour": COLOUR.parse(["red", "blue", "blue", "red"]),
    }
    dropped = torch.tensor([True, False, True, True])
    without = conditions(captions, {name: values.without(dropped) for name, values in given.items()})
    absent = conditions(captions, {})
    nobody = conditions(
        captions,
        {
            name: layout.parse([None] * 4)
            for name, layout in zip(given, LAYOUTS, strict=True)
            if name != "size"
        },
    )
    full = conditions(captions, given)
    for mine, theirs, own in (
        (without.pooled, absent.pooled, full.pooled),
        (without.states, absent.states, full.states),
    ):
        assert torch.equal(mine[dropped], theirs[dropped])
        assert torch.equal(mine[~dropped], own[~dropped])
        assert torch.equal(theirs, nobody.states if theirs.ndim == 3 else nobody.pooled)
    nulls = torch.cat([module.null for module in conditions.modules_by_name.values()])  # type: ignore[attr-defined]
    said = absent.states[:, 3:].flatten(1) if tokens else absent.pooled[:, 5:]
    assert torch.equal(said, nulls.expand(4, -1))
    assert not torch.equal(full.states if tokens else full.pooled, absent.states if tokens else absent.pooled)
    assert absent.mask.shape == absent.states.shape[:2]


def test_a_row_loses_conditions_by_its_own_random_numbers_and_all_at_once():
    conditions = Conditions([COLOUR], Placement(4, False), {"colour": 0.3}, dropout=0.2)
    rows = replace(batch(4096), conditions={"colour": COLOUR.parse(["red"] * 4096)})
    given, everything = conditions.of_batch(rows, drop=True)["colour"], conditions.all_dropped(rows)
    assert given is not None
    assert float(everything.float().mean()) == pytest.approx(0.2, abs=0.02)
    assert not given.present[everything].any()
    assert float(given.present.float().mean()) == pytest.approx(0.7 * 0.8, abs=0.03)
    half = rows.micro_batch(1, 2)
    part = conditions.of_batch(half, drop=True)["colour"]
    assert part is not None
    assert torch.equal(part.present, given.present[2048:])
    kept = conditions.of_batch(rows, drop=False)["colour"]
    assert kept is not None
    assert kept.present.all()


def test_processes_share_one_loss():
    made = objective(std=0.2)
    parts = [loss(made, batch(12, start, start + 6)) for start in (0, 6)]
    torch.testing.assert_close(sum(parts) / 2, loss(made, batch(12)))


@pytest.mark.parametrize("network", NETWORKS)
def test_gradients_reach_all_parameters(network: str):
    made = objective(LAYOUTS, std=0.2, network=network)
    rows = batch(12)
    known = {
        **rows.conditions,
        "size": LAYOUTS[0].parse(["40x150"] * 12).without(torch.arange(12) < 3),
        "score": LAYOUTS[1].parse([0.1, None, 0.7] * 4),
    }
    loss(made, replace(rows, conditions=known)).backward()
    names = [name for name, p in made.modules.named_parameters() if p.grad is None or not p.grad.any()]
    assert [name for name in names if name.startswith("conditions")] == []


@pytest.mark.parametrize("network", NETWORKS)
def test_a_folder_holds_all_that_is_needed(network: str, tmp_path: Path):
    made = objective(LAYOUTS, std=0.2, network=network)
    again = load(saved(made, tmp_path / "model"))
    assert again.model.conditions is not None
    assert again.model.conditions.layouts == LAYOUTS
    asked = {"colour": ["red", None], "score": [0.25, None], "size": [None, "40x50"]}
    sampling = SamplingConfig(steps=2, conditions={"score": 3.0})
    first, second = (
        TextToImage(model).sample(CAPTIONS, [1, 2], sampling, conditions=asked)
        for model in (made.modules, again.model)
    )
    assert torch.equal(first, second)
    other = again.sample(CAPTIONS, [1, 2], sampling, conditions={**asked, "colour": ["blue", None]})
    assert not torch.equal(first[0], other[0])
    torch.testing.assert_close(first[1], other[1])


def test_what_the_model_does_not_know_is_refused():
    drawing = TextToImage(objective().modules)
    with pytest.raises(ValueError, match="no condition 'shape'; it knows colour"):
        drawing.sample(CAPTIONS, [0, 1], conditions={"shape": ["circle", None]})
    with pytest.raises(ValueError, match="'colour' has 1 values for 2 pictures"):
        drawing.sample(CAPTIONS, [0, 1], conditions={"colour": ["red"]})
    with pytest.raises(ValueError, match=r"sampling.conditions names shape; conditions of the model: colour"):
        drawing.sample(CAPTIONS, [0, 1], SamplingConfig(conditions={"shape": 2.0}))
    plain = TextToImage(objective((), conditions=ConditionsConfig()).modules)
    with pytest.raises(ValueError, match="it was taught none beside the caption"):
        plain.sample(CAPTIONS, [0, 1], conditions={"colour": ["red", None]})
    with pytest.raises(ValueError, match="the weak model of autoguidance knows the conditions"):
        drawing.sample(CAPTIONS, [0, 1], weak=plain)
    scaled = SamplingConfig(conditions={"colour": 2.0})
    with pytest.raises(ValueError, match="autoguidance leads by one scale"):
        drawing.sample(CAPTIONS, [0, 1], scaled, weak=drawing)


@pytest.mark.parametrize("network", ["unet", "dit"])
def test_a_model_without_conditions_is_started_from_as_it_is(network: str, tmp_path: Path):
    plain = objective((), std=0.2, network=network, conditions=ConditionsConfig())
    folder = saved(plain, tmp_path / "plain")
    torch.manual_seed(1)
    begun = DiffusionObjective(
        replace(CONFIG, network=network), CAPTIONS * 4, starting=True, conditions=(COLOUR,)
    )
    begun.start(folder)
    rows = replace(batch(6), conditions={"colour": COLOUR.parse(["red"] * 6)})
    x, t = torch.randn(6, 3, 8, 8), torch.full((6,), 0.5)
    with torch.no_grad():
        mine = begun.modules.eval().denoise(x, t, begun.modules.condition(rows))
        theirs = plain.modules.eval().denoise(x, t, plain.modules.condition(rows))
    torch.testing.assert_close(mine, theirs)
    with_conditions = saved(begun, tmp_path / "conditions")
    again = DiffusionObjective(
        replace(CONFIG, network=network), CAPTIONS * 4, starting=True, conditions=(COLOUR,)
    )
    again.start(with_conditions)
    assert torch.equal(loss(again, rows), loss(begun, rows))
    with pytest.raises(ValueError, match=r"was taught the conditions \['colour'\].*the config names \[\]"):
        DiffusionObjective(
            replace(CONFIG, network=network, conditions=ConditionsConfig()), CAPTIONS * 4, starting=True
        ).start(with_conditions)
    low_rank = replace(CONFIG, network=network, lora=LoraConfig(rank=2), start="plain")
    with pytest.raises(ValueError, match="cannot be added by low-rank changes"):
        DiffusionObjective(low_rank, CAPTIONS * 4, starting=True, conditions=(COLOUR,)).start(folder)


def test_conditions_cost_what_they_are():
    shape = CaptionShape(length=8, width=16)
    plain = step_cost(replace(CONFIG, conditions=ConditionsConfig()), PIXELS, shape)
    cost = step_cost(CONFIG, PIXELS, shape)
    assert cost.parameters["conditions"] == 2 * 8  # the null, and a class
    assert cost.parameters["network"] == plain.parameters["network"] + 8 * CONFIG.unet.condition
    assert "conditions" not in plain.parameters


def test_values_move_with_their_batch():
    values = ConditionValues(torch.arange(4)[:, None], torch.tensor([True, False, True, True]))
    rows = replace(batch(4), conditions={"colour": values}).micro_batch(1, 2).to(torch.device("cpu"))
    assert rows.conditions["colour"].values.tolist() == [[2], [3]]
    assert rows.conditions["colour"].present.tolist() == [True, True]
