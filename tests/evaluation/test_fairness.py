"""Rates and disparities are the field's, TFMA's own where it has them, and small groups no news."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agiwb.evaluation.asked import Thresholds, eval_config, with_views
from agiwb.evaluation.engines import run_engine
from agiwb.evaluation.fairness import (
    Counts,
    fairness_of,
    judge_fairness,
    measure_fairness,
    worst_odds,
    worst_parity,
)
from agiwb.evaluation.fast.tables import metric_rows
from agiwb.evaluation.tfma_engine import Predictions
from agiwb.reporting.fairness import (
    disparity_table,
    fairness_sentences,
    group_table,
    plot_groups,
)

GROUPS = {
    "a": Counts(true_positives=40, false_positives=10, true_negatives=40, false_negatives=10),
    "b": Counts(true_positives=15, false_positives=5, true_negatives=55, false_negatives=25),
    "c": Counts(true_positives=0, false_positives=0, true_negatives=4, false_negatives=1),
}


@pytest.fixture
def found():
    return fairness_of("side", "yes", GROUPS, smallest=30)


def test_rates_are_shares_of_counts(found):
    first, second, third = found.groups
    assert (first.selection.value, first.true_positive.value) == (0.5, 0.8)
    assert (first.false_positive.value, first.precision.value) == (0.2, 0.8)
    assert (second.selection.value, second.precision.value) == (0.2, 0.75)
    assert first.selection.interval.low < 0.5 < first.selection.interval.high
    assert third.precision is None
    assert [group.small for group in found.groups] == [False, False, True]


def test_disparities_are_between_the_large_groups_farthest_apart(found):
    parity, odds = found.parity, found.odds
    assert (parity.low_group, parity.high_group) == ("b", "a")
    assert (parity.difference, parity.ratio) == (pytest.approx(0.3), pytest.approx(0.4))
    assert parity.difference_interval.low < 0.3 < parity.difference_interval.high
    assert parity.ratio_interval.low < 0.4 < parity.ratio_interval.high < 0.8
    assert (odds.rate, odds.difference) == ("true_positive", pytest.approx(0.8 - 15 / 40))
    assert odds.ratio == pytest.approx((5 / 60) / 0.2)  # the false positive rates are less alike
    alone = fairness_of("side", "yes", {"a": GROUPS["a"], "c": GROUPS["c"]}, smallest=30)
    assert alone.parity is None
    assert alone.odds is None


def test_the_interval_of_a_difference_is_newcombes():
    counts = {"a": Counts(56, 0, 0, 14), "b": Counts(48, 0, 0, 32)}
    found = fairness_of("side", "yes", counts, 30).parity
    # Table II of Newcombe 1998, method 10, of 56 in 70 and 48 in 80.
    assert found.difference_interval == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_an_interval_holds_for_the_pair_that_chance_put_farthest_apart():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        named = rng.binomial(100, 0.3, 5)
        counts = {str(n): Counts(int(k), 0, 0, int(100 - k)) for n, k in enumerate(named)}
        found = fairness_of("side", "yes", counts, 30).parity
        covered += found.difference_interval.low <= 0 and found.ratio_interval.high >= 1
    assert covered >= 188  # 95 %, less two standard deviations


def test_limits_are_told_with_who_and_how_much(found):
    fair, told = judge_fairness([found], 0.8, 0.1)
    assert fair is False
    assert told[0] == (
        "By side, yes is named 0.400 times as often for b as for a, below the limit of 0.8."
    )
    assert "differ by 0.425 (true positive rate, a against b), above the limit of 0.1" in told[1]
    assert len(told) == 2
    assert judge_fairness([found], 0.4, 0.43) == (True, ())
    assert judge_fairness([found], None, None) == (None, ())


def test_a_limit_that_nothing_was_held_to_is_not_kept(found):
    alone = found.model_copy(update={"parity": None, "odds": None})
    fair, told = judge_fairness([alone], 0.8, None)
    assert fair is False
    assert told == (
        "`min_parity_ratio` was not judged: no slice column has two groups that are large enough.",
    )


def test_of_two_classes_one_is_told_of_and_of_more_each():
    labels = np.arange(60) % 3
    sides = {"side": np.repeat(["l", "r"], 30)}
    three = measure_fairness(labels, labels, sides, "abc", 10)
    assert [one.class_name for one in three] == ["a", "b", "c"]
    assert worst_odds(three)[1].difference == 0
    assert worst_parity(three)[1].ratio == 1
    two = measure_fairness(labels % 2, labels % 2, sides, "ab", 10)
    assert [one.class_name for one in two] == ["b"]
    many = measure_fairness(labels, labels, sides, [str(n) for n in range(21)], 10)
    assert many == ()
    constant = measure_fairness(labels * 0, labels * 0, sides, "ab", 10)
    assert constant[0].parity.ratio is None
    assert worst_parity(constant) is None


def test_views_say_it_in_words_and_mark_what_is_small(found):
    first, second = fairness_sentences([found])
    assert "By side, yes is named in 20.0% for b and 50.0% for a: 0.40 (" in first
    assert "below the four fifths" in first
    assert "the true positive rate of yes is 37.5% for b and 80.0% for a" in second
    rows = group_table(found).rows
    assert [row[-1] for row in rows] == ["", "", "too few to compare"]
    assert "none" in rows[2]
    assert disparity_table([found]).rows[0][:2] == ("side", "yes")
    assert "a selection rate 50.0%" in plot_groups(found).alt


@pytest.mark.slow
def test_rates_of_two_classes_are_tfmas(tmp_path: Path):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 400)
    scores = np.clip(rng.normal(0.35 + 0.3 * labels, 0.2), 0, 1).astype(np.float32)
    sides = {"side": rng.choice(["l", "r"], 400)}
    given = Predictions(labels, np.stack([1 - scores, scores], axis=1), sides)
    wanted = with_views(eval_config(given, Thresholds(0, 0, 1)), given)
    run_engine("fast", given.columns(), wanted, tmp_path)
    tfmas = {(row["slice"], row["metric"]): row["value"] for row in metric_rows(tmp_path)}
    (ours,) = measure_fairness(labels, given.probabilities.argmax(axis=1), sides, "ab", 30)
    for group in ours.groups:
        rates = group.selection, group.true_positive, group.false_positive, group.precision
        names = "predicted_positive_rate", "tpr", "fpr", "precision"
        for rate, name in zip(rates, names, strict=True):
            assert rate.value == pytest.approx(tfmas[f"side = {group.group}", name], abs=1e-9)
