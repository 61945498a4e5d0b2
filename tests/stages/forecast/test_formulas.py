"""Plans from formulas: what is assumed is said, what is here is read; the arithmetic of time and money."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.config.values import run_of
from sdmodel.config.model import UNet2DConfig
from sdmodel.config.train import TrainConfig
from sdmodel.train.speed import PEAKS
from stages.artifacts.artifact import Funnel
from stages.artifacts.reference import refer
from stages.config.run import Run
from stages.forecast.cards import CARDS, card_of
from stages.forecast.formulas import LAUNCH, RECOMPUTED, forecast_by_formulas
from stages.forecast.shapes import UNET, shapes_of
from stages.output import Output
from stages.stage import Stats, stage
from stages.store import open_store
from tests import frozen

SMALL = {"network": "dit", "dit": {"width": 512, "layers": 2, "heads": 8}, "text": {"width": 16, "heads": 2}}
BATCH = 4096  # so large that starting its operations takes no time


def run(folder: str = "", **train: Any) -> Run:
    encode = {"autoencoder": folder, "text": folder, "size": train.get("size", 32)} if folder else {}
    return run_of({"name": "a", "encode": encode, "train": {**SMALL, **train}}, "a test")


@pytest.mark.parametrize("name", CARDS)
def test_every_card_has_a_peak_memory_and_a_price(name: str):
    card = card_of(name)
    assert card.title in PEAKS
    assert card.memory > 0
    assert card.price > 0


def test_names_of_cards_may_be_written_as_people_do():
    assert card_of("RTX 4090") is card_of("rtx-4090") is CARDS["rtx4090"]
    with pytest.raises(ValueError, match="--card 'v100' is not known; take one of a10, a100"):
        card_of("v100")


def test_time_is_flops_over_the_assumed_share_of_the_peak_and_cost_is_time_by_price():
    config = run(images=1_000_000, processes=2, batch=BATCH, price=5.0)
    plan = forecast_by_formulas(config, {"h100": card_of("h100")}, mfu=0.5)
    (card,) = plan.cards
    assert card.images_per_second == pytest.approx(2 * 0.5 * 989.4e12 / plan.flops)
    assert card.mfu == pytest.approx(0.5)
    assert card.hours == pytest.approx(1_000_000 / card.images_per_second / 3600)
    assert card.cost == pytest.approx(5.0 * card.hours)  # train.price is of all processes
    assert "an MFU of 50%, with data always there" in plan.assumed
    assert not any("prices" in words for words in plan.assumed)

    checkpointed = run(images=1_000_000, processes=2, batch=BATCH, activation_checkpointing=True)
    (slower,) = forecast_by_formulas(checkpointed, {"h100": card_of("h100")}, mfu=0.5, price=3.0).cards
    assert slower.images_per_second == pytest.approx(card.images_per_second / RECOMPUTED)
    assert slower.cost == pytest.approx(3.0 * 2 * slower.hours)


def test_of_sizes_in_stages_each_costs_its_own_and_the_largest_must_fit():
    stages = [[32, 700], [64, 300]]
    whole = forecast_by_formulas(
        run(size=64, sizes=stages, images=1000, batch=BATCH), {"h100": card_of("h100")}
    )
    alone = [forecast_by_formulas(run(size=size), {"h100": card_of("h100")}) for size, _ in stages]
    flops = sum(plan.flops * images for plan, (_, images) in zip(alone, stages, strict=True))
    assert whole.cards[0].images_per_second == pytest.approx(0.35 * 989.4e12 / (flops / 1000))
    assert (whole.flops, whole.row) == (alone[1].flops, alone[1].row)


def test_a_network_whose_maps_were_learned_small_has_no_more_of_them_at_large_sizes():
    small = {"network": "unet", "unet": {"channels": [8, 16], "condition": 16, "fine": 4}}
    staged = run(**small, size=64, sizes=[[32, 700], [64, 300]], images=1000, batch=BATCH)
    cards = {"h100": card_of("h100")}
    assert (
        forecast_by_formulas(staged, cards).parameters == forecast_by_formulas(run(**small), cards).parameters
    )


def test_a_small_step_takes_as_long_as_its_operations_take_to_start():
    slow, fast = (
        forecast_by_formulas(run(batch=batch), {"h200": card_of("h200")}).cards[0] for batch in (4, 8)
    )
    assert fast.images_per_second == pytest.approx(2 * slow.images_per_second)
    kernels = 4 / slow.images_per_second / LAUNCH
    assert 100 < kernels < 2000  # two blocks, their gradients, and what is around them


def test_a_batch_is_taken_in_the_fewest_equal_parts_that_fit():
    plan = forecast_by_formulas(run(size=512, batch=96), {"a10": card_of("a10")})
    (card,) = plan.cards
    assert card.rows * card.accumulate == 96
    assert card.accumulate > 1
    assert card.taken < 0.9 * card.memory


def test_what_is_not_here_is_taken_to_be_stable_diffusion_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    absent = "absent"
    shapes = shapes_of(run(absent))
    assert (shapes.space.channels, shapes.space.factor) == (4, 8)
    assert shapes.captions is not None
    assert (shapes.captions.length, shapes.captions.width) == (77, 768)
    assert shapes.assumed == (f"'{absent}' is not here: shapes as of Stable Diffusion 1.5",)


def test_what_is_here_is_read(tmp_path: Path):
    frozen.autoencoder(tmp_path / "vae")
    frozen.text_encoder(tmp_path)
    vae, text = (
        json.loads((tmp_path / f"{part}/config.json").read_text()) for part in ("vae", "text_encoder")
    )
    shapes = shapes_of(run(str(tmp_path)))
    assert shapes.assumed == ()
    assert shapes.space.channels == vae["latent_channels"]
    assert shapes.space.factor == 2 ** (len(vae["block_out_channels"]) - 1)
    assert shapes.captions is not None
    assert (shapes.captions.length, shapes.captions.width) == (
        text["max_position_embeddings"],
        text["hidden_size"],
    )


def test_a_model_of_ours_goes_on_with_the_unet_that_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Which is the pipeline's that it started from, whatever the config describes."""
    monkeypatch.chdir(tmp_path)

    @stage(version=1, kind="model", name="train")
    def train(config: TrainConfig, out: Output) -> Stats:
        settings = {"network": "unet2d", "unet2d": dict(UNET), "text": None}
        out.write("model/config.json").write_text(json.dumps({"kind": "diffusion", "model": settings}))
        return Stats(Funnel(0, 0), {"objective": "diffusion"})

    store = open_store(str(tmp_path / "store"))
    refer(store, "models/first", train(TrainConfig(), store=store))
    small = UNet2DConfig(channels=(32, 64), attention=(True, False), blocks=1, head_width=8, groups=8)
    config = replace(run("absent", network="unet2d", unet2d=small, start="models/first"), store=store.url)
    cards = {"h100": card_of("h100")}
    plan = forecast_by_formulas(config, cards)
    assert plan.parameters["network"] > 8e8  # as of Stable Diffusion 1.5
    assert not plan.pipeline
    absent = forecast_by_formulas(replace(config, store=str(tmp_path / "none")), cards)
    assert absent.parameters["network"] < 1e7
    assert "'models/first' is not here: shapes as the config has them" in absent.assumed
    with pytest.raises(ValueError, match=r"freeze it by encode\.text"):
        shapes_of(replace(run(network="unet2d", start="models/first"), store=store.url))


def test_what_no_formula_tells_is_refused():
    with pytest.raises(ValueError, match="not 'contrastive'; leave it out, and the training is measured"):
        shapes_of(run(objective="contrastive"))
    with pytest.raises(ValueError, match="no shape of a pretrained text encoder that is learned along"):
        shapes_of(run(text={"start": "models/reader@1"}))
    with pytest.raises(ValueError, match=r"freeze it by encode\.text"):
        shapes_of(run(network="unet2d", start="/models/sd15"))


@pytest.mark.parametrize(("key", "kind"), [("alignment", "dispersive"), ("joint", "masked")])
def test_losses_that_no_formula_counts_are_measured(key: str, kind: str):
    with pytest.raises(ValueError, match=rf"no formula of --card counts train\.{key}; leave --card out"):
        shapes_of(run(**{key: {"kind": kind}}))
