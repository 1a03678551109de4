from __future__ import annotations

import pytest

from agiwb.statistics import mcnemar_p_value, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # Newcombe 1998, table I, and the closed form
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (15, 148, 0.062388, 0.160500),
        (81, 263, 0.255289, 0.366222),
    ],
)
def test_wilson_interval_agrees_with_published_values(
    successes: int, trials: int, low: float, high: float
) -> None:
    interval = wilson_interval(successes, trials)
    assert interval.low == pytest.approx(low, abs=1e-4)
    assert interval.high == pytest.approx(high, abs=1e-4)


def test_without_trials_nothing_is_known() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    assert mcnemar_p_value(0, 0) == 1.0
    assert mcnemar_p_value(1, 9) == pytest.approx(2 * 11 / 1024)
    assert mcnemar_p_value(9, 1) == mcnemar_p_value(1, 9)
