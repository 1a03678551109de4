"""Quality, on answers whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import entropy

from agiwb.compression.quality import chance_level, compare_quality, kl_divergence
from agiwb.statistics import mcnemar_p_value, wilson_interval


def naming(classes: list[int]) -> NDArray[np.float32]:
    return np.eye(6, dtype=np.float32)[classes]


def test_quality_counts_the_pairs():
    labels = np.array([0, 1, 2, 3, 4, 5])
    quality = compare_quality(naming([0, 1, 0, 3, 4, 1]), naming([0, 1, 2, 0, 0, 0]), labels)
    assert quality.accuracy == pytest.approx(4 / 6)
    assert quality.interval == wilson_interval(4, 6)
    assert (quality.worse, quality.better) == (1, 2)
    assert quality.p_value == mcnemar_p_value(1, 2)
    assert quality.agreement == pytest.approx(2 / 6)


def test_divergence_is_that_of_the_textbook():
    drawn = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 50)).astype(np.float32)
    expected = np.mean([entropy(p, q) for p, q in zip(*drawn, strict=True)])
    assert kl_divergence(drawn[0], drawn[1]) == pytest.approx(expected, rel=1e-4)
    assert kl_divergence(drawn[0], drawn[0]) == 0


def test_a_probability_rounded_to_nothing_is_not_infinitely_wrong():
    certain, rounded = np.array([[0.5, 0.5]], np.float32), np.array([[1, 0]], np.float32)
    # 0.5 ln(0.5 / 1) + 0.5 ln(0.5 / 1e-7)
    assert kl_divergence(certain, rounded) == pytest.approx(7.366, abs=1e-3)


def test_chance_is_the_share_of_the_most_frequent_class():
    assert chance_level(np.array([2, 2, 2, 0])) == 0.75
