"""The text objective: its losses, what is learned by each, and its folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from sdmodel.config.text import TextConfig
from sdmodel.pretrain import folder as kept
from sdmodel.pretrain.labels import label_teaches
from sdmodel.pretrain.objective import TextObjective
from sdmodel.text import build
from sdmodel.train.validation import means
from tests.sdmodel.pretrain.made import (
    CAPTIONS,
    EVERYTHING,
    batch,
    config,
    labels,
    objective,
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labels(tmp_path_factory.mktemp("labels"))


def weights(made: TextObjective) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in made.modules.state_dict().items()}


@pytest.mark.parametrize(
    "losses",
    [
        {"contrastive": 1.0},
        {"contrastive": 0.0, "masked": 1.0},
        {"contrastive": 0.0, "labels": 1.0, "columns": ("colour", "tags")},
        EVERYTHING,
    ],
)
def test_every_parameter_learns_whatever_is_asked(losses: dict[str, Any], table: Path):
    made = objective(config(**losses), table)
    found = made.modules(batch())
    wanted = {name for name in ("contrastive", "labels", "masked", "consistency") if losses.get(name)}
    assert set(found) == wanted
    assert made.whole_batch == ("contrastive" in found)
    assert all(loss.dtype == torch.float32 and loss.ndim == 0 and loss > 0 for loss in found.values())
    torch.stack(list(found.values())).sum().backward()
    assert [name for name, p in made.modules.named_parameters() if p.grad is None] == []


def test_weights_are_factors(table: Path):
    one = objective(config(**EVERYTHING), table).modules(batch())
    twice = {name: 2 * value for name, value in EVERYTHING.items() if isinstance(value, float)}
    other = objective(config(**{**EVERYTHING, **twice, "noise": 0.5}), table).modules(batch())
    for name, loss in one.items():
        torch.testing.assert_close(2 * loss, other[name])


def test_parts_have_the_losses_and_gradients_of_the_whole(table: Path):
    """Labels that some rows lack, hidden tokens, noise: nothing asks how rows are shared out."""
    chosen = config(**{**EVERYTHING, "contrastive": 0.0})
    found: list[dict[str, torch.Tensor]] = []
    for count in (1, 3):
        made = objective(chosen, table)
        rows = [batch().micro_batch(number, count) for number in range(count)]
        for part in rows:
            (torch.stack(list(made.modules(part).values())).sum() / count).backward()
        found.append({name: p.grad for name, p in made.modules.named_parameters() if p.grad is not None})
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("tower", ["resnet", "vit"])
def test_everything_is_learned_by_heart(tower: Any, table: Path):
    made = objective(config(tower=tower, **EVERYTHING), table)
    optimizer = torch.optim.AdamW(made.modules.parameters(), 1e-2)
    for step in range(60):
        losses = made.modules(batch(seed=step))
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    made.modules.eval()
    with torch.no_grad():
        rows = torch.tensor(float(len(CAPTIONS)))
        told = means({**made.errors(batch(seed=99)), "rows": rows})
    assert told["retrieved_right"] > 0.9 > told["retrieved_constant"] == pytest.approx(1 / 12)
    assert told["labels_right"] > 0.9 > told["labels_constant"]
    assert told["masked_right"] > told["masked_constant"]
    assert 0 <= told["flips"] < 0.5
    losses = ("contrastive", "labels", "masked", "consistency")
    assert told["loss"] == pytest.approx(sum(told[name] for name in losses))
    assert set(told) == {
        *losses,
        *("loss", "flips"),
        *(f"{name}_{what}" for name in ("retrieved", "labels", "masked") for what in ("right", "constant")),
    }


def test_the_folder_is_an_encoder_s_and_brings_everything_back(tmp_path: Path, table: Path):
    made = objective(config(**EVERYTHING, flips=0.02), table)  # and of how it ended nothing
    made.save(tmp_path, weights(made))
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}

    alone = build.load(tmp_path, made.config.text).eval()
    torch.testing.assert_close(
        alone.encode_captions(CAPTIONS).pooled, made.modules.encoder.eval().encode_captions(CAPTIONS).pooled
    )
    again = kept.load(tmp_path, table)
    assert not again.training
    for name, value in again.state_dict().items():
        assert torch.equal(value, made.modules.state_dict()[name]), name
    told, expected = (m.eval()(batch()) for m in (again, made.modules))
    for name, loss in told.items():
        if name != "contrastive":  # foils are the training's
            torch.testing.assert_close(loss, expected[name])


def test_it_goes_on_from_a_folder_with_the_heads_that_both_have(tmp_path: Path, table: Path):
    made = objective(config(**EVERYTHING), table)
    made.save(tmp_path, weights(made))
    same = objective(made.config, table, seed=1)
    same.start(tmp_path)
    assert all(torch.equal(value, weights(made)[name]) for name, value in weights(same).items())

    fewer = objective(config(contrastive=0.0, masked=1.0), seed=1)
    fewer.start(tmp_path)
    assert set(weights(fewer)) < set(weights(made))
    assert all(torch.equal(value, weights(made)[name]) for name, value in weights(fewer).items())

    one = objective(config(contrastive=0.0, labels=1.0, columns=("colour",)), table, seed=1)
    one.start(tmp_path)  # a column's head is known by its name, not by its place
    name = "labels.layers.column colour.weight"
    assert torch.equal(weights(one)[name], weights(made)[name])

    folder = tmp_path / "fewer"
    folder.mkdir()
    fewer.save(folder, weights(fewer))
    assert not (folder / kept.TOWER).exists()
    more = objective(made.config, table, seed=2)
    more.start(folder)  # what it lacks is random
    assert torch.equal(weights(more)["masked.layers.0.weight"], weights(made)["masked.layers.0.weight"])
    first = TextObjective(fewer.config, CAPTIONS, start=folder)  # of the encoder alone
    held = load_file(folder / "model.safetensors")
    assert all(torch.equal(value, held[name]) for name, value in first.modules.encoder.state_dict().items())


def test_other_shapes_and_other_classes_are_refused(tmp_path: Path, table: Path):
    made = objective(config(**EVERYTHING), table)
    made.save(tmp_path, weights(made))
    wide = replace(made.config, contrastive=replace(made.config.contrastive, embedding=16))
    with pytest.raises(ValueError, match=r"the shape \(8, .*text.start"):
        objective(wide, table).start(tmp_path)
    rows = [{"uid": caption, "tags": [caption[-1], "x"]} for caption in CAPTIONS]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "other.parquet")
    other = objective(config(contrastive=0.0, labels=1.0, columns=("tags",)), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="learned 7 classes of 'tags', and the labels have 2"):
        other.start(tmp_path)
    with pytest.raises(ValueError, match=r"has no pretrain\.json"):
        made.start(table.parent)


def test_few_flips_are_enough(table: Path):
    made = objective(config(contrastive=0.0, masked=1.0, noise=0.5, flips=0.1))
    good = {"validation/ema/masked_right": 0.4, "validation/ema/masked_constant": 0.1}
    assert made.enough({**good, "validation/ema/flips": 0.1, "validation/flips": 1.0})
    assert not made.enough({**good, "validation/ema/flips": 0.11})
    assert not objective(config()).enough({"validation/ema/loss": 0.0})


def test_answers_that_never_change_are_not_enough(table: Path):
    """A head that says the commonest class whatever it reads has no flips, and has learned nothing."""
    made = objective(config(contrastive=0.0, labels=1.0, columns=("colour",), noise=0.5, flips=0.1), table)
    made.modules.eval()
    assert made.modules.labels
    (layer,) = made.modules.labels.layers.values()
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.nn.functional.one_hot(made.modules.labels.guesses[0], 3))
        found = means({**made.errors(batch()), "rows": torch.tensor(12.0)})
    assert found["flips"] == 0
    assert not made.enough({f"validation/ema/{name}": value for name, value in found.items()})


def test_what_teaches_is_told_apart_from_what_could(table: Path):
    """A head that knows the rows that taught it by heart and nothing else: over-fitting shows."""
    few = objective(config(contrastive=0.0, labels=1.0, columns=("tags",), labelled=0.5), table)
    taught = [label_teaches(caption, 0.5) for caption in CAPTIONS]
    with torch.no_grad():
        counted = few.errors(batch())["labels_taught_right"][1]
    assert 0 < sum(taught[1:]) < 11
    assert counted == 7 * sum(taught[1:])  # of each row seven tags; the first row has no label
    with torch.no_grad():
        assert "labels_taught_right" not in objective(config(**EVERYTHING), table).errors(batch())


def test_the_best_constant_foretelling_is_the_end_where_captions_are_short():
    captions = ["red cat", "blue hat", "green mat", "one bat"]
    made = TextObjective(
        config(TextConfig(kind="gru", width=16, tokens="words"), contrastive=0.0, next=1.0), captions * 2
    )
    made.modules.eval()
    with torch.no_grad():
        found = means({**made.errors(batch(captions)), "rows": torch.tensor(4.0)})
    assert found["next_constant"] == pytest.approx(1 / 3)  # of two words and an end, each way


def test_more_noise_flips_more():
    shares: list[float] = []
    for noise in (0.01, 0.3, 3.0):
        made = objective(config(masked=1.0, noise=noise))
        made.modules.eval()
        with torch.no_grad():
            flips = made.errors(batch())["flips"]
        shares.append(float(flips[0] / flips[1]))
    assert shares[0] < shares[1] < shares[2] <= 1


def test_labels_need_a_table():
    with pytest.raises(ValueError, match="name the columns"):
        TextObjective(config(labels=1.0, columns=("colour",)), CAPTIONS)
