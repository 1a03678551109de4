"""The gate's statistics, held to their promises by simulation and by exact enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, multinomial

from agiwb.maintenance.noninferiority import (
    PairedComparison,
    _score_p_values,
    compare_pairs,
    holm,
    rows_needed,
)
from agiwb.maintenance.verdict import Terms, compare

ALPHA = 0.05


def pairs(rows: int, lost: float, won: float, draw: np.random.Generator) -> NDArray[np.float64]:
    return draw.choice([-1.0, 0.0, 1.0], p=[lost, 1 - lost - won, won], size=rows)


def exact_errors(rows: int, margin: float, won: float) -> tuple[float, float]:
    """Return how often the score test errs at the margin: says not worse, says worse."""
    lost, wins = np.meshgrid(np.arange(rows + 1), np.arange(rows + 1), indexing="ij")
    possible = lost + wins <= rows
    lost, wins = lost[possible], wins[possible]
    chances = multinomial(rows, [won + margin, won, 1 - 2 * won - margin]).pmf(
        np.stack([lost, wins, rows - lost - wins], axis=1)
    )
    not_worse, worse = (p <= ALPHA for p in _score_p_values(lost, wins, rows, margin))
    return float(chances[not_worse].sum()), float(chances[worse].sum())


@pytest.mark.parametrize("won", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("rows", [30, 100, 400])
def test_the_score_test_errs_no_more_often_than_promised(rows: int, won: float) -> None:
    says_not_worse, says_worse = exact_errors(rows, 0.05, won)
    assert says_not_worse <= 1.02 * ALPHA
    assert says_worse <= 1.02 * ALPHA


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "won"), [(60, 0.0), (360, 0.01), (360, 0.08), (1500, 0.03)])
def test_a_challenger_at_the_margin_passes_no_more_often_than_promised(
    rows: int, won: float
) -> None:
    draw, trials, margin = np.random.default_rng(rows), 700, 0.02
    passed = sum(
        compare_pairs(pairs(rows, won + margin, won, draw), margin, seed=trial).p_not_worse <= ALPHA
        for trial in range(trials)
    )
    assert passed <= ALPHA * trials + 3 * np.sqrt(ALPHA * (1 - ALPHA) * trials)


@pytest.mark.slow
def test_of_real_valued_scores_too() -> None:
    draw, trials, margin = np.random.default_rng(0), 600, 0.1
    found = [
        compare_pairs(draw.exponential(1.0, 40) - 1.0 - margin, margin, seed=trial)
        for trial in range(trials)
    ]
    # Skewed errors and few rows: Student's t alone is known to be a little off here.
    assert np.mean([one.p_not_worse <= ALPHA for one in found]) <= 0.08
    assert np.mean([one.p_worse <= ALPHA for one in found]) <= 0.12


@pytest.mark.slow
@pytest.mark.parametrize("differing", [0.02, 0.1])
def test_the_rows_asked_for_are_enough_and_not_far_too_many(differing: float) -> None:
    draw, margin, trials = np.random.default_rng(1), 0.02, 300
    first = compare_pairs(pairs(20_000, differing / 2, differing / 2, draw), margin)
    needed = rows_needed(first, margin, ALPHA, 0.8)

    def power(rows: int) -> float:
        drawn = (pairs(rows, differing / 2, differing / 2, draw) for _ in range(trials))
        return float(np.mean([compare_pairs(one, margin).p_not_worse <= ALPHA for one in drawn]))

    assert 0.74 <= power(needed) <= 0.95
    assert power(needed // 3) < 0.6


@pytest.mark.slow
def test_an_equal_challenger_is_seldom_rejected_because_of_one_of_many_slices() -> None:
    draw, trials, rejected = np.random.default_rng(2), 100, 0
    terms = Terms(0.02, 0.05, ALPHA, 0.8, 30)
    groups = np.arange(600) % 5
    slices = {str(group): groups == group for group in range(5)}
    for _ in range(trials):
        champion = (draw.random(600) < 0.9).astype(np.float64)
        worse_by_margin = champion * (draw.random(600) >= 0.05 / 0.9)
        found = compare(champion, worse_by_margin, slices, terms)
        rejected += any(one.finding == "worse" for one in found[1:])
    assert rejected <= ALPHA * trials + 3 * np.sqrt(ALPHA * (1 - ALPHA) * trials)


def test_no_difference_at_all_is_no_proof_with_few_rows() -> None:
    assert compare_pairs(np.zeros(40), 0.02).p_not_worse > 0.2
    assert compare_pairs(np.zeros(400), 0.02).p_not_worse < 0.01
    few = compare_pairs(np.zeros(9), 0.02)
    assert (few.p_not_worse, few.p_worse) == (1.0, 1.0)


def test_better_is_not_worse_and_much_worse_is_worse() -> None:
    draw = np.random.default_rng(3)
    better, worse = pairs(300, 0.01, 0.2, draw), pairs(300, 0.2, 0.01, draw)
    assert compare_pairs(better, 0.02).p_not_worse < 0.001
    found = compare_pairs(worse, 0.02)
    assert found.p_worse < 0.001
    assert found.interval.low < found.difference < found.interval.high < 0


def test_holm_is_the_known_procedure() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    draw = np.random.default_rng(0).random(20)
    assert (np.array(holm(draw.tolist())) >= false_discovery_control(draw) - 1e-12).all()


def test_more_rows_are_needed_for_a_smaller_margin_and_a_stricter_level() -> None:
    found = PairedComparison(100, 0.0, (0, 0), 0.3, 0.09, 0.5, 0.5)  # type: ignore[arg-type]
    usual = rows_needed(found, 0.02, 0.05, 0.8)
    assert rows_needed(found, 0.01, 0.05, 0.8) > 2 * usual
    assert rows_needed(found, 0.02, 0.005, 0.8) > usual
