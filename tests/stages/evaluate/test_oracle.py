import numpy as np
import pytest

from stages.demo.captions import TRAINING_PHRASINGS, held_out, parse
from stages.demo.two import captions as two_captions
from stages.demo.two import world as two_world
from stages.demo.two.measures import MEASURES
from stages.demo.world import ATTRIBUTES, VALUES, render, scene
from stages.evaluate.oracle import clean_pairs, prompted, unseen_captions, verdicts
from stages.evaluate.prompts import Prompt


@pytest.mark.parametrize("side", [32, 64])
def test_perfect_pictures_are_read_right(side: int):
    captions = unseen_captions("demo", 40, 3)
    shown = [scene(1, index, parse(caption)) for index, caption in enumerate(captions)]
    found = verdicts(captions, np.stack([render(one, side) for one in shown]))
    cells = {(one.attributes.shape, one.attributes.colour) for one in shown}
    covered = len(cells) / (len(VALUES["shape"]) * len(VALUES["colour"]))
    assert found == {
        **dict.fromkeys((*ATTRIBUTES, "all", "clean"), 1.0),
        "coverage": round(covered, 4),
        "samples": 40,
    }


def test_pictures_of_something_else_are_not():
    captions = unseen_captions("demo", 40, 3)
    pictures = np.stack(
        [render(scene(1, index, parse(caption)), 32) for index, caption in enumerate(captions)]
    )
    found = verdicts(captions, np.roll(pictures, 1, axis=0))
    assert found["clean"] == 1.0
    assert found["all"] < 0.1
    noise = np.random.default_rng(0).integers(0, 256, pictures.shape, dtype=np.uint8)
    assert verdicts(captions, noise)["clean"] == 0.0


def test_captions_for_the_oracle_are_of_held_out_combinations_and_go_by_the_seed():
    said = unseen_captions("demo", 20, 3)
    attributes = [parse(caption) for caption in said]
    assert all(one is not None and held_out(one) for one in attributes)
    assert said[:5] == unseen_captions("demo", 5, 3)
    assert said != unseen_captions("demo", 20, 4)
    assert unseen_captions("", 20, 3) == []


@pytest.mark.parametrize("side", [32, 64])
def test_pictures_of_two_groups_are_read_by_their_own_oracle(side: int):
    captions = unseen_captions("two", 24, 3)
    told = [two_captions.parse(caption) for caption in captions]
    assert all(one is not None and two_captions.held_out(one) for one in told)
    shown = [two_world.scene(1, index, one) for index, one in enumerate(told)]
    pictures = np.stack([two_world.render(one, side) for one in shown])
    assert verdicts(captions, pictures) == {**dict.fromkeys((*MEASURES, "clean"), 1.0), "samples": 24}
    others = verdicts(captions, np.roll(pictures, 1, axis=0))
    assert others["clean"] == 1.0
    assert others["all"] < 0.1


def test_clean_pairs_tell_pictures_apart():
    pictures, captions = clean_pairs(len(TRAINING_PHRASINGS) + 1, seed=0)
    assert {picture.shape for picture in pictures} == {(64, 64, 3)}
    assert verdicts(captions, np.stack(pictures))["all"] == 1.0
    pictures, captions = clean_pairs(9, seed=0, oracle="two")
    assert {picture.shape for picture in pictures} == {(64, 64, 3)}
    assert verdicts(captions, np.stack(pictures))["all"] == 1.0


@pytest.mark.parametrize("world", ["demo", "two"])
def test_the_oracles_prompts_may_be_pictures_of_what_the_captions_say(world: str):
    captions = unseen_captions(world, 6, 3)
    asked = [Prompt("a new one", 1, "new"), *(Prompt(caption, 2, "oracle") for caption in captions)]
    assert prompted(asked, "text", 3) == asked
    alone, both = prompted(asked, "picture", 3), prompted(asked, "both", 3)
    assert alone[0] == both[0] == asked[0]
    assert alone[0].picture is None
    assert [prompt.text for prompt in alone[1:]] == [""] * 6
    assert [prompt.text for prompt in both[1:]] == captions
    shown = [prompt.picture for prompt in alone[1:] if prompt.picture is not None]
    assert verdicts(captions, np.stack(shown))["all"] == 1.0
    others = [prompt.picture for prompt in prompted(asked, "picture", 4)[1:] if prompt.picture is not None]
    assert not any(np.array_equal(mine, other) for mine, other in zip(shown, others, strict=True))
