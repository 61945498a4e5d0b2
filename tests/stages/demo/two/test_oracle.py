from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from stages.demo.reading import NOISE
from stages.demo.two import oracle
from stages.demo.two.captions import swapped
from stages.demo.two.measures import MEASURES, right
from stages.demo.two.world import ATTRIBUTES, TwoGroupAttributes, draw_attributes, render, scene

SCENES = [scene(1_000, index, draw_attributes(1_000, index, unseen=None)) for index in range(150)]
TRUTH = [drawn.attributes for drawn in SCENES]


@pytest.fixture(scope="module")
def renders() -> np.ndarray:
    return np.stack([render(drawn, 32) for drawn in SCENES])


def least(images: np.ndarray) -> float:
    return min(float(values.mean()) for values in oracle.read_attributes(images).matches(TRUTH).values())


def noisy(images: np.ndarray, noise: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.clip(images + rng.normal(0, 255 * noise, images.shape), 0, 255).astype(np.uint8)


def test_clean_renders_are_read_exactly(renders: np.ndarray):
    reading = oracle.read_attributes(renders)
    assert set(reading.labels) == set(ATTRIBUTES)
    assert least(renders) >= 0.99
    assert reading.clean.mean() >= 0.98


@pytest.mark.parametrize("pixels", [101])
def test_larger_renders_scaled_down_are_read_as_well(pixels: int):
    images = [
        Image.fromarray(render(drawn, pixels)).resize((32, 32), Image.Resampling.BOX) for drawn in SCENES
    ]
    assert least(np.stack(images)) >= 0.99


@pytest.mark.parametrize("noise", [0.05, 0.10])
def test_mild_noise_is_borne(renders: np.ndarray, noise: float):
    assert least(noisy(renders, noise)) >= 0.98


def test_clean_means_up_to_the_noise_that_is_named(renders: np.ndarray):
    assert oracle.read_attributes(noisy(renders, NOISE)).clean.mean() >= 0.95
    assert oracle.read_attributes(noisy(renders, 2 * NOISE)).clean.mean() <= 0.02


def test_what_is_not_of_this_world_is_not_clean(renders: np.ndarray):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    for images in (noise, np.full((8, 32, 32, 3), 222, np.uint8)):
        assert not oracle.read_attributes(images).clean.any()
    tiles = renders.reshape(-1, 4, 8, 4, 8, 3)[:, [2, 0, 3, 1]][:, :, :, [1, 3, 0, 2]]
    assert oracle.read_attributes(tiles.reshape(-1, 32, 32, 3)).clean.mean() <= 0.1


def test_one_group_alone_is_not_clean(renders: np.ndarray):
    emptied = renders.copy()
    for image, drawn in zip(emptied, SCENES, strict=True):
        half = image[:, :16] if drawn.attributes.relation == "left of" else image[:16]
        half[:] = image[0, 0]
    assert not oracle.read_attributes(emptied).clean.any()


def test_mirrored_pictures_are_read_as_the_groups_stand_in_them(renders: np.ndarray):
    beside = [index for index, attributes in enumerate(TRUTH) if attributes.relation == "left of"]
    reading = oracle.read_attributes(renders[beside][:, :, ::-1].copy())
    turned = [swapped(swapped(swapped(TRUTH[i], "shape"), "colour"), "count") for i in beside]
    assert reading.matches(turned)["all"].all()
    straight = reading.matches([TRUTH[i] for i in beside])
    assert not straight["relation"].any()
    assert not straight["all"].any()
    assert straight["binding"].all()


def test_a_reading_depends_on_its_own_picture_alone(renders: np.ndarray):
    whole, alone = oracle.read_attributes(renders), oracle.read_attributes(renders[140:141])
    assert whole.attributes(140) == alone.attributes(0) == TRUTH[140]
    assert whole.residual[140] == pytest.approx(alone.residual[0], abs=1e-3)


def test_measures_go_from_words_to_their_order():
    described = TwoGroupAttributes("left of", "one", "red", "circle", "two", "blue", "ring")
    assert {name for name, yes in right(described, described).items() if yes} == set(MEASURES)
    assert wrong(swapped(described, "colour"), described) == {"relation", "binding", "all"}
    assert wrong(swapped(described, "shape"), described) == {"binding", "all"}
    assert wrong(swapped(described, "count"), described) == {"binding", "all"}
    mirrored = swapped(swapped(swapped(described, "shape"), "colour"), "count")
    assert wrong(mirrored, described) == {"relation", "all"}
    assert wrong(replace(described, relation="above"), described) == {"relation", "all"}
    assert wrong(replace(described, second_shape="cross"), described) == {"shape", "binding", "all"}
    assert wrong(replace(described, first_count="two"), described) == {"count", "binding", "all"}


def wrong(shown: TwoGroupAttributes, described: TwoGroupAttributes) -> set[str]:
    return {name for name, yes in right(shown, described).items() if not yes}


def test_no_pictures_give_an_empty_reading():
    reading = oracle.read_attributes(np.empty((0, 32, 32, 3), np.uint8))
    assert reading.clean.shape == (0,)
    assert set(reading.labels) == set(ATTRIBUTES)


def test_other_images_are_refused():
    for images in (np.zeros((2, 64, 64, 3), np.uint8), np.zeros((2, 32, 32, 3), np.float32)):
        with pytest.raises(ValueError, match="the oracle reads uint8"):
            oracle.read_attributes(images)
