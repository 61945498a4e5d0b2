import numpy as np
import pytest
from PIL import Image

from stages.demo import oracle
from stages.demo.reading import NOISE
from stages.demo.world import ATTRIBUTES, draw_attributes, render, scene

SCENES = [scene(1_000, i, draw_attributes(1_000, i, unseen=None)) for i in range(240)]
TRUTH = [s.attributes for s in SCENES]


@pytest.fixture(scope="module")
def renders() -> np.ndarray:
    return np.stack([render(s, 32) for s in SCENES])


def accuracies(images: np.ndarray) -> dict[str, float]:
    return {
        name: float(right.mean()) for name, right in oracle.read_attributes(images).matches(TRUTH).items()
    }


def test_clean_renders_are_read_exactly(renders: np.ndarray):
    shares = accuracies(renders)
    assert set(shares) == {*ATTRIBUTES, "all"}
    assert min(shares.values()) >= 0.99
    assert oracle.read_attributes(renders).clean.mean() >= 0.98


@pytest.mark.parametrize("pixels", [64, 101, 160])
def test_larger_renders_scaled_down_are_read_as_well(pixels: int):
    images = [Image.fromarray(render(s, pixels)).resize((32, 32), Image.Resampling.BOX) for s in SCENES]
    assert min(accuracies(np.stack(images)).values()) >= 0.99


@pytest.mark.parametrize(("noise", "least"), [(0.05, 0.99), (0.10, 0.98)])
def test_mild_noise_is_borne(renders: np.ndarray, noise: float, least: float):
    rng = np.random.default_rng(0)
    noisy = np.clip(renders + rng.normal(0, 255 * noise, renders.shape), 0, 255).astype(np.uint8)
    assert min(accuracies(noisy).values()) >= least


def test_clean_means_up_to_the_noise_that_is_named(renders: np.ndarray):
    rng = np.random.default_rng(0)
    shares: list[float] = []
    for noise in (0.0, NOISE, 2 * NOISE):
        noisy = np.clip(renders + rng.normal(0, 255 * noise, renders.shape), 0, 255).astype(np.uint8)
        shares.append(float(oracle.read_attributes(noisy).clean.mean()))
    assert shares[0] >= 0.98
    assert shares[1] >= 0.95
    assert shares[2] <= 0.02


def test_what_is_not_of_this_world_is_not_clean(renders: np.ndarray):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    blank = np.full((8, 32, 32, 3), 222, np.uint8)
    for images in (noise, blank):
        assert not oracle.read_attributes(images).clean.any()
    tiles = renders.reshape(-1, 4, 8, 4, 8, 3)[:, [2, 0, 3, 1]][:, :, :, [1, 3, 0, 2]]
    assert oracle.read_attributes(tiles.reshape(-1, 32, 32, 3)).clean.mean() <= 0.1


def test_a_reading_depends_on_its_own_picture_alone(renders: np.ndarray):
    whole, alone = oracle.read_attributes(renders[:150]), oracle.read_attributes(renders[140:141])
    assert whole.attributes(140) == alone.attributes(0) == TRUTH[140]
    assert whole.residual[140] == pytest.approx(alone.residual[0], abs=1e-3)


def test_no_pictures_give_an_empty_reading():
    reading = oracle.read_attributes(np.empty((0, 32, 32, 3), np.uint8))
    assert reading.clean.shape == (0,)
    assert set(reading.labels) == set(ATTRIBUTES)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 64, 64, 3), np.uint8),
        np.zeros((2, 32, 32, 3), np.float32),
        np.zeros((32, 32, 3), np.uint8),
    ],
)
def test_other_images_are_refused(images: np.ndarray):
    with pytest.raises(ValueError, match="the oracle reads uint8"):
        oracle.read_attributes(images)
