from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from agiwb import statistics
from agiwb.serving.rollout.significance import (
    quantile_ranks,
    rate_upper_bound,
    t_quantile,
    tail_probability,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "trials", "rate"),
    [(1, 10, 0.01), (9, 100, 0.01), (60, 100, 0.5), (2, 100, 0.5), (28, 1000, 0.01)],
)
def test_the_tail_is_that_of_the_binomial_distribution(successes, trials, rate):
    expected = stats.binom.sf(successes - 1, trials, rate)
    assert tail_probability(successes, trials, rate) == pytest.approx(expected, rel=1e-9)


def test_the_ends_of_the_tail():
    assert tail_probability(0, 10, 0.1) == 1.0
    assert tail_probability(1, 10, 0.0) == 0.0
    assert tail_probability(11, 10, 0.5) == 0.0
    assert tail_probability(10, 10, 1.0) == 1.0


@pytest.mark.parametrize(("successes", "trials"), [(0, 50), (3, 50), (49, 50), (50, 50), (0, 0)])
def test_the_upper_bound_is_clopper_and_pearsons(successes, trials):
    expected = (
        stats.beta.ppf(1 - 1e-6, successes + 1, trials - successes) if successes < trials else 1
    )
    assert rate_upper_bound(successes, trials, 1e-6) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (0, 7), (7, 7), (3, 1000), (512, 1000)])
def test_the_interval_is_the_one_of_the_statistics(successes, trials):
    assert wilson_interval(successes, trials) == pytest.approx(
        statistics.wilson_interval(successes, trials), abs=1e-9
    )


@pytest.mark.parametrize("freedom", [3, 5, 10, 30, 1000])
def test_the_t_quantile(freedom):
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=0.01)


@pytest.mark.parametrize("quantile", [0.5, 0.95])
def test_the_ranks_miss_the_quantile_as_seldom_as_promised(quantile):
    alpha, size = 0.02, 200
    low, high = quantile_ranks(size, quantile, alpha)
    samples = np.sort(np.random.default_rng(0).random((20_000, size)), axis=1)
    assert low < size * quantile < high
    for missed in ((samples[:, low] > quantile).mean(), (samples[:, high] < quantile).mean()):
        assert alpha / 4 < missed < alpha + 0.004


def test_a_small_sample_bounds_no_high_quantile():
    low, high = quantile_ranks(100, 0.95, 1e-6)
    assert low is not None
    assert high is None
    assert quantile_ranks(0, 0.5, 1e-6) == (None, None)
