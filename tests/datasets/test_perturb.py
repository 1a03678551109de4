"""Perturbed examples keep their shape and type, and change as they say."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.datasets.perturb import add_noise, blur, rotate
from agiwb.datasets.registry import load_dataset
from agiwb.errors import DatasetError


@pytest.fixture(scope="module")
def images():
    return load_dataset("digits").test.features[:20]


def test_a_right_angle_is_exact(images):
    turned = rotate(images, 90)
    expected = np.rot90(images, axes=(1, 2))  # counter-clockwise
    assert turned.dtype == np.float32
    np.testing.assert_allclose(turned, expected, atol=1e-4)


def test_turning_there_and_back_is_near_the_original(images):
    middle = (slice(None), slice(3, 5), slice(3, 5))
    back = rotate(rotate(images, 10), -10)
    assert np.abs(back - images)[middle].mean() < np.abs(rotate(images, 45) - images)[middle].mean()


def test_colours_are_turned_and_blurred_alike(images):
    coloured = np.stack([images, 2 * images], axis=-1)
    np.testing.assert_allclose(rotate(coloured, 30)[..., 0], rotate(images, 30), atol=1e-4)
    np.testing.assert_allclose(blur(coloured, 1)[..., 1], 2 * blur(images, 1), atol=1e-4)


def test_blur_spreads_a_point_as_a_gaussian():
    point = np.zeros((1, 21, 21), np.float32)
    point[0, 10, 10] = 100
    sigma = 1.5
    blurred = blur(point, sigma)[0]
    assert blurred.sum() == pytest.approx(100, rel=1e-4)
    np.testing.assert_allclose(blurred, blurred.T, atol=1e-5)
    for away in (1, 2, 3):
        share = blurred[10, 10 + away] / blurred[10, 10]
        assert share == pytest.approx(np.exp(-(away**2) / (2 * sigma**2)), rel=1e-4)


def test_blur_keeps_each_image_apart_and_smooths_it(images):
    blurred = blur(images, 1.0)
    assert blurred.shape == images.shape
    assert blurred.dtype == np.float32
    np.testing.assert_allclose(blurred[3], blur(images[3:4], 1.0)[0], atol=1e-5)
    assert np.abs(np.diff(blurred, axis=2)).mean() < np.abs(np.diff(images, axis=2)).mean()
    np.testing.assert_array_equal(blur(images, 0), images)


def test_noise_has_the_given_share_of_the_scale_and_no_bias():
    features = np.full((100, 10, 10), 50, np.float32)
    features[0, 0, :2] = 0, 200  # the range, far enough away to cut nothing off
    noise = (add_noise(features, 0.05, seed=3) - features)[1:]
    assert noise.mean() == pytest.approx(0, abs=0.5)  # five standard errors
    assert noise.std() == pytest.approx(0.05 * 200, rel=0.03)


def test_noise_stays_within_the_range_and_is_repeatable(images):
    noisy = add_noise(images, 0.2, seed=3)
    assert noisy.dtype == np.float32
    assert images.min() <= noisy.min()
    assert noisy.max() <= images.max()
    np.testing.assert_array_equal(noisy, add_noise(images, 0.2, seed=3))
    assert (noisy != add_noise(images, 0.2, seed=4)).any()
    within = (images > 5) & (images < 11)  # where nothing is cut off
    assert (noisy - images)[within].std() == pytest.approx(0.2 * 16, rel=0.25)
    np.testing.assert_array_equal(add_noise(images, 0), images)


@pytest.mark.parametrize("perturb", [lambda x: rotate(x, 5), lambda x: blur(x, 1)])
def test_vectors_are_no_images(perturb):
    with pytest.raises(DatasetError, match="are not images"):
        perturb(np.zeros((5, 30), np.float32))
