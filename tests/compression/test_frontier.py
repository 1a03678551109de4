"""The front and the choice, on candidates made up for the purpose."""

from __future__ import annotations

from typing import Any

from compression.made_up import MEASURED

from agiwb.compression.candidate import Candidate
from agiwb.compression.frontier import choose, front


def candidate(
    name: str, accuracy: float, size: int, ratio: float = 1.0, reason: str = "", **more: Any
) -> Candidate:
    speed = "same" if ratio == 1.0 else "faster" if ratio < 1.0 else "slower"
    values = {"validation_accuracy": accuracy, "gzip_bytes": size, "latency_ratio": ratio}
    measured = MEASURED.model_copy(update={**values, "speed": speed, **more})
    return Candidate(name=name, reason=reason, measured=measured)


BASELINE = candidate("baseline", 0.97, 1000)


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


def test_what_is_not_usable_is_neither_on_the_front_nor_chosen():
    unmeasured = Candidate(name="unmeasured", reason="no file")
    guessing = candidate("guessing", 0.97, 10, reason="no better than chance")
    assert front([BASELINE, unmeasured, guessing]) == {"baseline"}
    assert choose([BASELINE, unmeasured, guessing], 0.01).name == "baseline"


def test_what_is_compared_with_need_not_be_usable():
    guessing = candidate("baseline", 0.5, 1000, reason="no better than chance")
    better = candidate("better", 0.97, 300, validation_p_value=0.001)
    assert front([guessing, better]) == {"better"}
    assert choose([guessing, better], 0.01).name == "better"


def test_the_smallest_within_the_limits_is_chosen():
    candidates = [BASELINE, candidate("a", 0.965, 300), candidate("b", 0.95, 100)]
    choice = choose(candidates, 0.01)
    assert choice.name == "a"
    assert "2 of 3 candidates lose at most 1 point of validation accuracy" in choice.reason
    assert "300 bytes" in choice.reason
    assert choose(candidates, 0.02).name == "b"  # a drop of exactly the limit is within


def test_a_limit_is_held_against_the_drop_as_measured():
    unproven = candidate("unproven", 0.94, 100, validation_p_value=0.3)
    assert choose([BASELINE, unproven], 0.01).name == "baseline"


def test_a_latency_limit_takes_jitter_for_none():
    slow = candidate("slow", 0.97, 100, 1.4)
    jittery = candidate("jittery", 0.97, 300, 1.01, speed="same")
    assert choose([BASELINE, slow, jittery], 0.01, max_latency_ratio=1.0).name == "jittery"


def test_the_baseline_may_be_the_best():
    choice = choose([BASELINE, candidate("a", 0.97, 1100)], 0.0)
    assert choice.name == "baseline"
    assert "none is smaller than the model as it is" in choice.reason


def test_if_none_is_within_the_nearest_is_named_with_what_it_lacks():
    near = candidate("near", 0.94, 300, 0.62)
    choice = choose([BASELINE, near], 0.01, max_latency_ratio=0.5)
    assert choice.name is None
    assert "The nearest is `near`" in choice.reason
    assert "loses 3 points of accuracy, 2 too many" in choice.reason
    assert "takes 0.62 of the baseline's time, 0.12 too much" in choice.reason


def test_nothing_is_chosen_of_nothing_usable():
    failed = Candidate(name="baseline", reason="no")
    assert choose([failed], 0.01).name is None
    assert front([failed]) == frozenset()
