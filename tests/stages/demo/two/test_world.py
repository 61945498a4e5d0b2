from collections import Counter, defaultdict
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

from stages.demo.two.captions import scenes, swapped
from stages.demo.two.world import (
    VALUES,
    TwoGroupAttributes,
    draw_attributes,
    held_out,
    is_scene,
    render,
    scene,
    words_of,
)

ALL = list(scenes())


def test_the_world_has_2880_scenes_and_keeps_a_tenth_from_training():
    assert len(ALL) == len(set(ALL)) == 2880
    unseen = [attributes for attributes in ALL if held_out(attributes)]
    assert 0.08 < len(unseen) / len(ALL) < 0.12
    for name in asdict(ALL[0]):
        assert {getattr(attributes, name) for attributes in unseen} == set(VALUES[name.split("_")[-1]])


def test_exchanges_of_words_are_kept_from_training_together():
    classes: defaultdict[tuple[str, ...], list[TwoGroupAttributes]] = defaultdict(list)
    for attributes in ALL:
        classes[words_of(attributes)].append(attributes)
        for what in ("shape", "colour", "count"):
            assert words_of(swapped(attributes, what)) == words_of(attributes)
            assert held_out(swapped(attributes, what)) == held_out(attributes)
    assert set(Counter(map(len, classes.values()))) == {4, 8}


def test_groups_differ_in_shape_and_colour():
    red = TwoGroupAttributes("above", "one", "red", "circle", "two", "red", "ring")
    assert not is_scene(red)
    assert is_scene(replace(red, second_colour="blue"))
    assert not is_scene(replace(red, second_colour="blue", second_shape="circle"))
    assert not is_scene(replace(red, second_colour="mauve"))
    with pytest.raises(ValueError, match=r"second_colour=.red.*differ in shape and colour"):
        scene(0, 0, red)


def test_scenes_are_functions_of_seed_and_index_drawn_from_training():
    assert scene(3, 14) == scene(3, 14)
    assert len({scene(seed, index) for seed in range(10) for index in range(10)}) == 100
    assert not any(held_out(scene(0, index).attributes) for index in range(300))
    assert all(held_out(draw_attributes(0, index, unseen=True)) for index in range(30))


@pytest.mark.parametrize("pixels", [16, 32, 65, 128])
def test_a_picture_has_the_size_asked_for(pixels: int):
    picture = render(scene(0, 0), pixels)
    assert picture.shape == (pixels, pixels, 3)
    assert picture.dtype == np.uint8


def test_too_small_a_picture_is_refused():
    with pytest.raises(ValueError, match="pixels=15"):
        render(scene(0, 0), 15)


def test_groups_stay_in_their_halves_and_never_touch():
    for index in range(60):
        drawn = scene(5, index, draw_attributes(5, index, unseen=None))
        picture = render(drawn, 64).astype(int)
        shown = (np.abs(picture - np.rint(np.array(drawn.tint) * 255)) > 2).any(-1)
        across = shown.any(0) if drawn.attributes.relation == "left of" else shown.any(1)
        assert not across[31:33].any()
        assert across[:31].any()
        assert across[33:].any()
        assert shown[1:-1, 1:-1].sum() == shown.sum()  # nothing at the edge


def test_large_renders_scale_down_to_small_ones():
    for index in range(10):
        large = render(scene(1, index), 128).reshape(32, 4, 32, 4, 3).mean((1, 3))
        assert np.abs(large - render(scene(1, index), 32)).mean() < 1.5


def test_equal_pictures_have_equal_attributes():
    # Without jitter, every scene is another picture, none of them near another.
    small = np.stack([_plain(attributes) for attributes in ALL[::3]]).reshape(len(ALL[::3]), -1)
    rng = np.random.default_rng(0)
    for index in rng.choice(len(small), 60, replace=False):
        gaps = np.sqrt(np.square(small - small[index]).mean(1))
        assert np.sort(gaps)[1] > 0.04, ALL[::3][index]


def _plain(attributes: TwoGroupAttributes) -> np.ndarray:
    with Image.fromarray(render(scene(0, 0, attributes), 32)) as image:
        return np.asarray(image.resize((16, 16), Image.Resampling.BOX), np.float32) / 255
