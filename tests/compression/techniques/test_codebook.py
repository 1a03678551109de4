"""Codebooks: k-means in one dimension, zeros, channels, and finding what is already there."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from agiwb.compression.techniques.codebook import Init, fit_codebook, found_codebook, kmeans

INITS = get_args(Init)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def squared_error(weights: np.ndarray, centroids: np.ndarray) -> float:
    return float((np.abs(weights[:, None] - centroids).min(axis=1) ** 2).sum())


@pytest.mark.parametrize("init", INITS)
def test_no_centroid_can_move_to_a_better_place(init: Init):
    weights = normal(500)
    centroids = kmeans(weights, 8, init, np.random.default_rng(0))
    nearest = np.abs(weights[:, None] - centroids).argmin(axis=1)
    means = [weights[nearest == index].mean() for index in range(8)]
    assert np.allclose(centroids, means, atol=1e-6)


@pytest.mark.parametrize("init", INITS)
def test_it_is_about_as_good_as_scikit_learns(init: Init):
    from sklearn.cluster import KMeans

    weights = normal(500)
    ours = squared_error(weights, kmeans(weights, 8, init, np.random.default_rng(0)))
    theirs = KMeans(8, n_init=10, random_state=0).fit(weights[:, None]).inertia_
    assert ours < 1.15 * theirs


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("clusters", [2, 3, 16, 256])
def test_a_kernel_gets_at_most_so_many_values_and_its_zeros_stay(init: Init, clusters: int):
    kernel = normal(30, 40)
    kernel[np.abs(kernel) < 0.7] = 0
    clustered = fit_codebook(kernel, clusters, init, seed=0).kernel()
    assert len(np.unique(clustered)) <= clusters
    assert np.array_equal(clustered == 0, kernel == 0)
    dense = fit_codebook(normal(30, 40), clusters, init, seed=0).kernel()
    assert len(np.unique(dense)) <= clusters
    assert np.all(dense != 0)


@pytest.mark.parametrize("channels", [(-1,), (-2, -1), (-2,)])
def test_each_channel_has_a_codebook_of_its_own(channels: tuple[int, ...]):
    kernel = normal(3, 3, 4, 6) * np.linspace(0.01, 10, 6, dtype=np.float32)
    codebook = fit_codebook(kernel, 4, "linear", 0, channels)
    others = [axis for axis in range(4) if axis - 4 not in channels]
    rows = np.moveaxis(codebook.kernel(), others, range(-len(others), 0))
    rows = rows.reshape(-1, np.prod([kernel.shape[axis] for axis in others]))
    assert max(len(np.unique(row)) for row in rows) == 4
    assert codebook.per_channel
    whole = fit_codebook(kernel, 4, "linear", 0).kernel()
    assert np.abs(codebook.kernel() - kernel).mean() < np.abs(whole - kernel).mean()


def test_few_distinct_values_are_kept_as_they_are():
    kernel = np.array([[1.5, -2.0], [0.0, 1.5]], np.float32)
    assert np.array_equal(fit_codebook(kernel, 3, "linear", 0).kernel(), kernel)
    zeros = np.zeros((3, 3), np.float32)
    assert np.array_equal(fit_codebook(zeros, 2, "linear", 0).kernel(), zeros)


def test_the_seed_decides_what_kmeans_plus_plus_draws():
    def book(seed: int) -> Any:
        return fit_codebook(normal(400), 16, "kmeans++", seed).entries

    assert np.array_equal(book(1), book(1))
    assert not np.array_equal(book(1), book(2))


def test_a_codebook_is_found_again_and_free_weights_have_none():
    kernel = normal(30, 40)
    assert found_codebook(kernel, (-1,)) is None
    assert found_codebook(normal(2, 3), (-1,)) is None
    for channels in (None, (-1,)):
        left = fit_codebook(kernel, 8, "density", 0, channels)
        found = found_codebook(left.kernel(), (-1,))
        assert found is not None
        assert np.array_equal(found.kernel(), left.kernel())
        assert found.per_channel == (channels is not None)
