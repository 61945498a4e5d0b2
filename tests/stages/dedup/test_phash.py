import io

import numpy as np
import pytest
from PIL import Image

from stages.dedup.phash import LEAST_CONTRAST, contrasts, perceptual_hashes, thumbnail
from stages.demo.world import render, scene
from stages.image import decode_image


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg", quality=quality)
    return decode_image(buffer.getvalue())


def resized(pixels: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))


def bits_apart(first: np.ndarray, second: np.ndarray) -> int:
    a, b = perceptual_hashes(np.stack([thumbnail(first), thumbnail(second)]))
    return int(np.bitwise_count(a ^ b))


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [render(scene(5, index), 64 + 4 * (index % 25)) for index in range(60)]


def test_copies_are_within_three_bits(pictures):
    encoded = [bits_apart(picture, jpeg(picture, 50)) for picture in pictures]
    halved = [bits_apart(picture, jpeg(resized(picture, len(picture) // 2 + 1), 75)) for picture in pictures]
    doubled = [bits_apart(picture, resized(picture, 2 * len(picture) - 3)) for picture in pictures]
    assert sum(bits > 3 for bits in encoded + halved + doubled) <= 1  # of 180


def test_other_pictures_are_far():
    rng = np.random.default_rng(0)
    noise = [
        np.kron(rng.integers(0, 256, (6, 6, 3)), np.ones((16, 16, 1))).astype(np.uint8) for _ in range(20)
    ]
    assert min(bits_apart(a, b) for n, a in enumerate(noise) for b in noise[:n]) > 8


def test_a_symmetric_picture_hashes_alike_after_a_grain_of_noise():
    # pHash takes the sign of coefficients that symmetry makes zero: noise alone decides them
    pixels = np.full((64, 64, 3), 200, np.uint8)
    pixels[24:40, 24:40] = 90
    noisy = (pixels.astype(int) + np.random.default_rng(0).integers(-3, 4, pixels.shape)).clip(0, 255)
    assert bits_apart(pixels, noisy.astype(np.uint8)) <= 1


def test_bands_hold_both_signs_of_all_frequencies(pictures):
    hashes = perceptual_hashes(np.stack([thumbnail(picture) for picture in pictures]))
    for band in range(4):
        values = (hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        assert len(np.unique(values)) > len(pictures) / 3


def test_flat_pictures_are_told():
    flat = np.full((50, 70, 3), 128, np.uint8)
    grain = (flat + np.random.default_rng(0).integers(0, 4, flat.shape)).astype(np.uint8)
    checks = np.kron([[0, 255], [255, 0]], np.ones((20, 20)))[..., None].repeat(3, axis=2).astype(np.uint8)
    found = contrasts(np.stack([thumbnail(p) for p in (flat, grain, checks)]))
    assert (found < LEAST_CONTRAST).tolist() == [True, True, False]
    assert found[2] == pytest.approx(0.5, abs=0.02)


def test_a_thumbnail_hardly_depends_on_the_size(pictures):
    worst = [
        np.abs(thumbnail(p).astype(int) - thumbnail(resized(p, len(p) * 3 // 2 + 1))).mean() for p in pictures
    ]
    assert max(worst) < 1.5
