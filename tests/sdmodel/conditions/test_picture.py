"""Pictures as a condition: what a model draws is like what it is shown, it is told in each of the ways to
join, and it never sees what it is to draw."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import sdmodel
from sdmodel.condition import ConditionValues
from sdmodel.conditions.picture import PictureCondition
from sdmodel.config.conditions import ConditionsConfig
from sdmodel.config.limits import ConfigError
from sdmodel.config.model import DiTConfig, UNet2DConfig, UNetConfig
from sdmodel.config.noise import NoiseConfig
from sdmodel.config.picture import PictureConfig
from sdmodel.config.sampling import SamplingConfig
from sdmodel.config.text import TextConfig
from sdmodel.config.train import TrainConfig
from sdmodel.data.batch import Batch
from sdmodel.diffusion.generate import TextToImage, load
from sdmodel.diffusion.objective import DiffusionObjective
from sdmodel.selfsupervised.objective import SelfSupervisedObjective
from tests.sdmodel.golden import tiny

BASE = TrainConfig(
    size=8,
    text=TextConfig(width=8, heads=1, queries=1, length=8),
    unet=UNetConfig(channels=(8,), fine=4, condition=16),
    unet2d=UNet2DConfig(channels=(8,), attention=(True,), blocks=1, head_width=8, groups=4),
    dit=DiTConfig(width=8, layers=1, heads=1, patch=4),
)
SOURCES: tuple[Any, ...] = ("reference", "noisy", "prior")
JOINS: tuple[Any, ...] = ("token", "modulation", "channels")
COLOURS = torch.tensor([[0.8, -0.8, -0.8], [-0.8, -0.8, 0.8]])
"""Red and blue."""


def config(source: Any, *join: Any, **changed: Any) -> TrainConfig:
    picture = PictureConfig(source=source, join=join or JOINS)
    return replace(
        BASE,
        **{"encoder": "models/views", "conditions": ConditionsConfig(picture=picture, width=8)} | changed,
    )


def noised(encoder: Path) -> Path:
    """The same encoder, as one that has learned from noisy pictures, too."""
    folder = encoder.with_name(f"{encoder.name}-noised")
    if not folder.exists():
        shutil.copytree(encoder, folder)
        about = json.loads((folder / "config.json").read_text())
        about["model"]["selfsupervised"]["noised"] = 0.5
        (folder / "config.json").write_text(json.dumps(about))
    return folder


def made(of: TrainConfig, encoder: Path) -> DiffusionObjective:
    """With weights as after a few steps: none is zero."""
    encoder = noised(encoder) if of.conditions.picture.source == "noisy" else encoder
    torch.manual_seed(0)
    objective = DiffusionObjective(of, ["a red square"], encoder=encoder)
    for parameter in objective.modules.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return objective


def flat(colours: Tensor) -> Tensor:
    """Pictures (B, 3, 8, 8) of one colour (B, 3) each."""
    return colours[:, :, None, None].expand(-1, -1, 8, 8)


def batch(images: Tensor, number: int = 0) -> Batch:
    rows = len(images)
    return Batch(
        images=images,
        captions=[""] * rows,
        uids=[""] * rows,
        index=torch.arange(rows) + rows * number,
        size=rows,
        start=0,
        images_seen=rows * number,
    )


def saved(objective: Any, folder: Path) -> Path:
    folder.mkdir()
    weights = objective.modules.state_dict()
    objective.save(folder, {name: value.contiguous() for name, value in weights.items()})
    return folder


def picture_of(model: Any) -> PictureCondition:
    assert model.picture is not None
    return model.picture


def watched(picture: PictureCondition, see: Callable[[Tensor], None]) -> None:
    """Has `see` called with all that the encoder is asked about."""
    for name in ("pooled", "features"):
        ask = getattr(picture.encoder, name)
        setattr(picture.encoder, name, lambda images, ask=ask: (see(images), ask(images))[1])


@pytest.fixture(scope="module")
def colour_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image encoder that has learned which of two colours a picture has."""
    torch.manual_seed(0)
    objective = SelfSupervisedObjective(tiny.config_of("selfsupervised"))
    tower, head = objective.modules.encoder, nn.Linear(128, 2)
    optimizer = torch.optim.Adam([*tower.parameters(), *head.parameters()], 3e-3)
    for _ in range(30):
        kind = torch.randint(2, (16,))
        features = tower(flat(COLOURS[kind]) + 0.1 * torch.randn(16, 3, 8, 8))
        nn.functional.cross_entropy(head(features), kind).backward()
        optimizer.step()
        optimizer.zero_grad()
    return saved(objective, tmp_path_factory.mktemp("colours") / "encoder")


@pytest.mark.parametrize("join", JOINS)
def test_a_model_of_two_colours_draws_that_of_the_picture_it_is_shown(join: Any, colour_encoder: Path):
    steps, rows = 80, 32
    of = config("reference", join, caption_dropout=1.0, noise=NoiseConfig(mean=-4))
    torch.manual_seed(0)
    objective = DiffusionObjective(of, [""], encoder=colour_encoder)
    optimizer = torch.optim.Adam(objective.modules.parameters())
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        colours = COLOURS[torch.randint(2, (rows,), generator=generator)]
        noise = 0.1 * torch.randn(rows, 3, 8, 8, generator=generator)
        losses = objective.modules(batch(flat(colours) + noise, step))
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    model, colours = TextToImage(objective.modules), COLOURS[torch.tensor([0, 1, 1, 0, 1, 0])]
    drawn = model.sample(
        [""] * 6, [5] * 6, SamplingConfig(conditions={"picture": 3.0}), pictures=flat(colours)
    )
    means = drawn.mean((2, 3))
    assert (torch.cdist(means, COLOURS).argmin(1) == torch.cdist(colours, COLOURS).argmin(1)).all(), means


@pytest.mark.parametrize("source", ["reference", "prior"])
def test_a_row_without_a_picture_is_the_null_to_the_bit(source: Any, image_encoder: Path):
    picture = picture_of(made(config(source), image_encoder).modules)
    shown = torch.randn(3, 3, 8, 8).clamp(-1, 1)
    some = picture(ConditionValues(shown, torch.tensor([True, False, True])), 3)
    other = picture(ConditionValues(-shown, torch.tensor([False, False, True])), 3)
    nothing = picture(None, 3)
    for name in ("pooled", "tokens", "channels"):
        null, told, others = (getattr(each, name) for each in (nothing, some, other))
        assert null.shape == told.shape
        assert torch.equal(told[1], null[1])
        assert torch.equal(others[:2], null[:2])
        assert not torch.allclose(told[0], null[0], atol=1e-3)
        assert not torch.allclose(told[2], others[2], atol=1e-3)


@pytest.mark.parametrize("network", ["unet", "dit", "unet2d"])
@pytest.mark.parametrize("source", SOURCES)
def test_each_way_to_join_reaches_the_prediction_and_teaches_all_that_it_is_made_of(
    source: Any, network: Any, image_encoder: Path
):
    ways = [join for join in JOINS if network != "unet2d" or join != "modulation"]
    x_t, t = torch.randn(2, 3, 8, 8), torch.tensor([0.2, 0.7])
    for join in ways:
        model = made(config(source, join, network=network), image_encoder).modules
        shown = {"picture": ConditionValues(torch.randn(2, 3, 8, 8).clamp(-1, 1), torch.tensor([True, True]))}
        told = model.predict(x_t, t, model.encode_captions(["", ""], given=shown))
        if source == "noisy":
            frozen = picture_of(model).encoder
            pooled, features = frozen.pooled, frozen.features
            frozen.pooled = lambda images, see=pooled: see(-images)
            frozen.features = lambda images, see=features: see(-images)
        other = model.predict(x_t, t, model.encode_captions(["", ""]))
        assert not torch.allclose(told, other, atol=1e-3), join
    objective = made(config(source, *ways, network=network, caption_dropout=0.5), image_encoder)
    images = torch.rand(8, 3, 8, 8) * 2 - 1
    torch.stack(list(objective.modules(batch(images)).values())).sum().backward()
    taught = {name: p.grad for name, p in objective.modules.named_parameters() if "conditions" in name}
    assert len(taught) > len(ways)
    assert [name for name, gradient in taught.items() if gradient is None or not gradient.any()] == []


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_to_be_drawn_is_never_seen(source: Any, image_encoder: Path, tmp_path: Path):
    """A model from its folder alone, without any data: the encoder sees what is shown, or x_t, and else
    nothing."""
    model = load(saved(made(config(source, "token", "channels"), image_encoder), tmp_path / "model"))
    references = torch.rand(2, 3, 8, 8) * 2 - 1
    noisy: list[Tensor] = []
    predict = model.model.predict

    def spied(x_t: Tensor, *others: Any) -> Tensor:
        noisy.append(x_t)
        return predict(x_t, *others)

    model.model.predict = spied  # pyright: ignore[reportAttributeAccessIssue]

    def see(images: Tensor) -> None:
        allowed = noisy[-1:] if source == "noisy" else [references]
        assert any(images.shape == each.shape and torch.equal(images, each) for each in allowed)

    watched(picture_of(model.model), see)
    pictures = None if source == "noisy" else references
    shown = model.sample(["", "a red square"], [1, 2], pictures=pictures)
    assert shown.isfinite().all()
    if source == "prior":  # without any to see, the encoder is not asked at all
        references = torch.empty(0)
        drawn = model.sample(["", "a red square"], [1, 2])
        assert not torch.allclose(drawn, shown)


def test_a_folder_is_all_that_a_model_needs_and_frozen_weights_are_no_part_of_its_own(
    image_encoder: Path, tmp_path: Path
):
    copy = Path(shutil.copytree(image_encoder, tmp_path / "encoder"))
    objective = made(config("reference"), copy)
    model = TextToImage(objective.modules)
    pictures = [torch.rand(3, 12, 9) * 2 - 1, None]
    before = model.sample(["a red square", ""], [1, 2], pictures=pictures)
    folder = saved(objective, tmp_path / "model")
    shutil.rmtree(copy)
    assert sorted(path.name for path in (folder / "encoder").iterdir()) == [
        "config.json",
        "encoder.safetensors",
    ]
    assert not any(
        "encoder.conv" in name or "tower" in name for name in load_file(folder / "model.safetensors")
    )
    again = sdmodel.load(folder)
    assert isinstance(again, TextToImage)
    assert torch.equal(again.sample(["a red square", ""], [1, 2], pictures=pictures), before)
    alone = again.sample([""], [2], pictures=[None])
    torch.testing.assert_close(alone[0], before[1], rtol=1e-4, atol=1e-4)  # presence is each row's own
    others = again.sample(["a red square"], [1], pictures=[-pictures[0]])  # pyright: ignore
    assert not torch.allclose(others[0], before[0], atol=1e-3)


def test_a_prior_draws_by_the_seed_and_is_learned_along(image_encoder: Path):
    objective = made(config("prior", "modulation"), image_encoder)
    losses = objective.modules(batch(torch.rand(4, 3, 8, 8) * 2 - 1))
    assert set(losses) == {"denoising", "prior"}
    model = objective.modules
    known = model.known({"picture": [torch.ones(3, 8, 8), None, None]}, 3)
    drawn = model.drawn(["", "", ""], [3, 3, 4], known)["picture"]
    assert drawn.present.all()
    seen = picture_of(model).encoder.pooled(torch.ones(1, 3, 8, 8))
    torch.testing.assert_close(drawn.values[:1], seen)
    assert not torch.allclose(drawn.values[1], drawn.values[2])
    alone = model.drawn([""], [4], model.known({}, 1))["picture"]
    torch.testing.assert_close(alone.values[0], drawn.values[2])
    torch.testing.assert_close(alone.values.var(1, correction=0), torch.ones(1), rtol=0, atol=1e-3)


def test_what_cannot_be_shown_is_refused(image_encoder: Path):
    shown, ways = torch.zeros(1, 3, 8, 8), TextToImage(made(config("noisy"), image_encoder).modules)
    with pytest.raises(ValueError, match=r"takes no picture; train one with .*reference"):
        ways.sample([""], [0], pictures=shown)
    without = TextToImage(DiffusionObjective(replace(BASE, encoder=""), [""]).modules)
    with pytest.raises(ValueError, match=r"no condition 'picture'; it was taught none"):
        without.sample([""], [0], pictures=shown)
    with pytest.raises(ValueError, match=r"never seen noise; train one with selfsupervised\.noised"):
        DiffusionObjective(config("noisy"), [""], encoder=image_encoder)
    with pytest.raises(ValueError, match=r"no image encoder to see pictures by; name one in train\.encoder"):
        DiffusionObjective(config("prior"), [""])
    reference = TextToImage(made(config("reference"), image_encoder).modules)
    with pytest.raises(ValueError, match=r"\(3, H, W\) of pixels .*not \(8, 8\)"):
        reference.sample([""], [0], pictures=[torch.zeros(8, 8)])
    with pytest.raises(ValueError, match="2 values for 1 pictures"):
        reference.sample([""], [0], pictures=[None, None])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"encoder": ""}, r"conditions\.picture\.source=.reference.*name one in encoder"),
        ({"network": "unet2d"}, r"conditions\.picture\.join=.*modulated by time alone"),
        ({"objective": "autoencoder"}, r"this objective has no conditions"),
    ],
)
def test_trainings_that_cannot_be_are_refused(changed: Any, message: str):
    with pytest.raises(ConfigError, match=message):
        replace(config("reference"), **changed)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"tokens": 8}, "tokens"),
        ({"source": "reference", "prior_width": 8}, "prior_width"),
        ({"source": "prior", "mirror": False}, "mirror"),
        ({"source": "noisy", "guidance": 3.0}, "guidance"),
        ({"source": "reference", "channels": 3}, "channels"),
        ({"source": "reference", "join": ("token", "token")}, "join"),
    ],
)
def test_options_that_nothing_reads_are_refused(options: dict[str, Any], name: str):
    with pytest.raises(ConfigError, match=name):
        PictureConfig(**options)


def test_a_training_starts_from_a_model_that_sees_pictures_alike(image_encoder: Path, tmp_path: Path):
    of = config("reference", "token", "channels")
    folder = saved(made(of, image_encoder), tmp_path / "model")
    going_on = DiffusionObjective(of, ["a red square"], encoder=image_encoder, starting=True)
    going_on.start(folder)
    asked: dict[str, Any] = {"pictures": flat(COLOURS), "captions": ["", "a red square"], "seeds": [1, 2]}
    drawn = TextToImage(going_on.modules).sample(**asked)
    assert torch.equal(drawn, load(folder).sample(**asked))
    others = {
        "join": (config("reference", "token"), image_encoder),
        "source": (config("prior", "token", "channels"), image_encoder),
        "encoder": (of, saved(SelfSupervisedObjective(tiny.config_of("selfsupervised")), tmp_path / "other")),
    }
    for name, (other, encoder) in others.items():
        objective = DiffusionObjective(other, ["a red square"], encoder=encoder, starting=True)
        with pytest.raises(ValueError, match=f"taught pictures with other .*{name}"):
            objective.start(folder)
