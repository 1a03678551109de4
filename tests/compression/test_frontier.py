"""The front and its ties, on candidates made up for the purpose."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.compression.candidate import Candidate
from agiwb.compression.frontier import front, ties
from agiwb.errors import WorkError
from agiwb.statistics import Interval
from tests.compression.rows import BASELINE_ROW as BASELINE
from tests.compression.rows import row as candidate


def test_who_is_smaller_and_as_good_dominates():
    assert front([BASELINE, candidate("int8", 0.97, 300)]) == {"int8"}


def test_each_respect_can_earn_a_place():
    small = candidate("small", 0.90, 100, validation_p_value=0.001)
    fast = candidate("fast", 0.90, 900, 0.5, validation_p_value=0.001)
    beaten = candidate("beaten", 0.89, 950, 0.6, validation_p_value=0.001)
    assert front([BASELINE, small, fast, beaten]) == {"baseline", "small", "fast"}


def test_a_difference_that_chance_explains_counts_as_none():
    unlucky = candidate("unlucky", 0.96, 300, validation_p_value=0.4)
    lucky = candidate("lucky", 0.98, 400, validation_p_value=0.4)
    assert front([BASELINE, unlucky, lucky]) == {"unlucky"}


def test_a_latency_that_may_not_be_claimed_counts_as_the_baselines():
    jittery = candidate("jittery", 0.97, 300, 1.01, speed="same")
    assert front([BASELINE, jittery]) == {"jittery"}


def test_a_true_gain_in_accuracy_counts():
    better = candidate("better", 0.99, 2000, validation_p_value=0.01)
    assert front([BASELINE, better]) == {"baseline", "better"}


def test_equals_share_the_front():
    twins = [candidate("one", 0.97, 300), candidate("two", 0.97, 300)]
    assert front([BASELINE, *twins]) == {"one", "two"}


def test_what_is_not_usable_is_not_on_the_front():
    unmeasured = Candidate(name="unmeasured", reason="no file")
    guessing = candidate("guessing", 0.97, 10, reason="no better than chance")
    assert front([BASELINE, unmeasured, guessing]) == {"baseline"}


def test_what_is_compared_with_need_not_be_usable():
    guessing = candidate("baseline", 0.5, 1000, reason="no better than chance")
    better = candidate("better", 0.97, 300, validation_p_value=0.001)
    assert front([guessing, better]) == {"better"}


def test_of_nothing_usable_there_is_no_front():
    assert front([Candidate(name="baseline", reason="no")]) == frozenset()


def test_latencies_of_two_kinds_of_machine_are_never_compared():
    here, there = (candidate(name, 0.97, 300, hardware=name) for name in ("here", "there"))
    with pytest.raises(WorkError, match="timed on 2 kinds of machine"):
        front([here, there])
    baseline = candidate("baseline", 0.97, 1000, hardware="here")
    assert front([baseline, here]) == {"here"}


def right(wrong: range) -> np.ndarray:
    """Return which of 300 examples are right: all but these."""
    found = np.ones(300, bool)
    found[list(wrong)] = False
    return found


def test_two_on_the_front_that_noise_alone_keeps_apart_are_tied():
    fast = {"latency_ratio_interval": Interval(0.5, 0.52), "validation_p_value": 0.001}
    one = candidate("one", 0.90, 300, 0.51, **fast)
    other = candidate("other", 0.91, 310, 0.51, **fast)
    answers = {"baseline": right(range(0)), "one": right(range(30)), "other": right(range(3, 30))}
    assert ties([BASELINE, one, other], answers, 1.02) == {
        "baseline": (),
        "one": ("other",),
        "other": ("one",),
    }


@pytest.mark.parametrize(
    ("interval", "wrong"), [(Interval(0.5, 0.52), range(10)), (Interval(0.6, 0.62), range(3, 30))]
)
def test_what_differs_in_accuracy_or_latency_is_not_tied(interval: Interval, wrong: range):
    one = candidate(
        "one", 0.90, 300, 0.51,
        latency_ratio_interval=Interval(0.5, 0.52), validation_p_value=0.001,
    )  # fmt: skip
    other = candidate(
        "other", 0.95, 310, 0.61, latency_ratio_interval=interval, validation_p_value=0.001
    )
    answers = {"baseline": right(range(0)), "one": right(range(30)), "other": right(wrong)}
    found = ties([BASELINE, one, other], answers, 1.02)
    assert found["one"] == found["other"] == ()


def test_who_is_not_on_the_front_ties_with_nobody():
    beaten = candidate("beaten", 0.97, 1100)
    assert ties([BASELINE, beaten], {"baseline": right(range(9))}, 1.02) == {"baseline": ()}
