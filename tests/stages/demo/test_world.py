import itertools
import re

import numpy as np
import pytest

from stages.demo.captions import NOVEL_PHRASINGS, TRAINING_PHRASINGS, caption, parse, unseen
from stages.demo.encode import FileEncoding, decode_picture, draw_encoding, encode_picture, resize
from stages.demo.world import ATTRIBUTES, VALUES, Attributes, draw_attributes, held_out, render, scene

ALL = [Attributes(*values) for values in itertools.product(*VALUES.values())]


def test_the_world_has_3600_combinations_and_keeps_a_tenth_from_training():
    assert len(ALL) == 3600
    unseen_combinations = [a for a in ALL if held_out(a)]
    assert 0.09 < len(unseen_combinations) / len(ALL) < 0.11
    for name in ATTRIBUTES:
        assert {getattr(a, name) for a in unseen_combinations} == set(VALUES[name])


def test_scenes_are_functions_of_seed_and_index():
    assert scene(3, 14) == scene(3, 14)
    assert np.array_equal(render(scene(3, 14), 96), render(scene(3, 14), 96))
    assert len({scene(seed, index) for seed in range(20) for index in range(20)}) == 400


def test_scenes_are_drawn_from_training_combinations_unless_told():
    assert not any(held_out(scene(0, i).attributes) for i in range(300))
    assert all(held_out(draw_attributes(0, i, unseen=True)) for i in range(50))
    given = next(a for a in ALL if held_out(a))
    assert scene(0, 5, given).attributes == given


@pytest.mark.parametrize("pixels", [8, 32, 65, 160])
def test_a_picture_has_the_size_asked_for(pixels: int):
    picture = render(scene(0, 0), pixels)
    assert picture.shape == (pixels, pixels, 3)
    assert picture.dtype == np.uint8


def test_too_small_a_picture_is_refused():
    with pytest.raises(ValueError, match="pixels=7"):
        render(scene(0, 0), 7)


def test_large_renders_scale_down_to_small_ones():
    for index in range(30):
        large = render(scene(1, index), 128).reshape(32, 4, 32, 4, 3).mean((1, 3))
        assert np.abs(large - render(scene(1, index), 32)).mean() < 1.5


@pytest.mark.parametrize("shape", VALUES["shape"])
def test_a_shape_stays_in_the_window_that_is_drawn(shape: str):
    # Pictures that differ in the shape's place alone must agree far away from both places.
    for size, position in itertools.product(VALUES["size"], ("top left", "bottom right")):
        drawn = scene(0, 1, Attributes(shape, "black", size, position, "plain"))
        picture = render(drawn, 96)
        background = np.rint(np.array(drawn.tints[0]) * 255)
        y, x = np.nonzero((np.abs(picture - background) > 1).any(-1))
        reach = 1.25 * drawn.radius * 96
        assert np.abs(x + 0.5 - drawn.centre[0] * 96).max() < reach - 0.5
        assert np.abs(y + 0.5 - drawn.centre[1] * 96).max() < reach - 0.5


def test_look_alikes_differ_more_than_copies():
    rng = np.random.default_rng(0)
    combination = Attributes("crescent", "green", "small", "top right", "gradient")
    scenes = [scene(0, i, combination) for i in range(60)]
    small = np.stack([render(s, 32) for s in scenes]).reshape(len(scenes), -1) / 255
    gaps = np.sqrt(np.square(small[:, None] - small[None]).mean(-1))[np.triu_indices(len(scenes), 1)]
    copies: list[float] = []
    for s in scenes:
        first = decode_picture(encode_picture(render(s, 112), draw_encoding(rng)))
        again = decode_picture(
            encode_picture(resize(first, int(rng.integers(64, 161))), FileEncoding("jpeg", 70))
        )
        copies.append(np.sqrt(np.square(resize(first, 32) / 255.0 - resize(again, 32) / 255.0).mean()))
    # The hardest case, all pictures of one combination; in a table of 8,000 rows two or three share one.
    assert max(copies) < 0.03
    assert np.mean(gaps < 0.03) < 0.005


def test_captions_are_read_back_in_every_phrasing():
    for number, attributes in enumerate(ALL[::7]):
        for phrasing in range(len(TRAINING_PHRASINGS) + len(NOVEL_PHRASINGS)):
            text = caption(attributes, phrasing)
            assert parse(text) == attributes, (number, text)
            assert "{" not in text
            assert not re.search(r"\ba [aeiou]", text)


def test_captions_that_say_too_little_or_too_much_are_not_read():
    assert parse("") is None
    assert parse("a red circle") is None
    assert parse("a small red circle in the top left on a plain background, and a star") is None


def test_novel_phrasings_use_known_words_in_sentences_of_their_own():
    assert len(TRAINING_PHRASINGS) >= 10
    assert len(NOVEL_PHRASINGS) == 4
    assert not set(TRAINING_PHRASINGS) & set(NOVEL_PHRASINGS)

    def words(phrasings: tuple[str, ...]) -> set[str]:
        return {word for each in phrasings for word in re.findall(r"\w+", each)}

    assert words(NOVEL_PHRASINGS) <= words(TRAINING_PHRASINGS)


def test_unseen_captions_name_combinations_kept_from_training():
    drawn = unseen(64, seed=0)
    assert drawn == unseen(64, seed=0)
    assert all(held_out(attributes) and parse(text) == attributes for text, attributes in drawn)
    known = {caption(a, p) for _, a in drawn for p in range(len(TRAINING_PHRASINGS))}
    assert not known & {text for text, _ in drawn}


def test_a_phrasing_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="phrasing=99"):
        caption(ALL[0], 99)
