"""The choice under constraints, on candidates made up for the purpose."""

from __future__ import annotations

from agiwb.compression.candidate import Candidate
from agiwb.compression.constraints import Limits, choose
from tests.compression.rows import BASELINE_ROW as BASELINE
from tests.compression.rows import row as candidate


def test_the_smallest_within_the_limits_is_chosen():
    candidates = [BASELINE, candidate("a", 0.965, 300), candidate("b", 0.95, 100)]
    choice = choose(candidates, Limits(0.01))
    assert choice.name == "a"
    assert "2 of 3 candidates lose at most 1 point of validation accuracy" in choice.reason
    assert "300 bytes" in choice.reason
    assert choose(candidates, Limits(0.02)).name == "b"  # a drop of exactly the limit is within


def test_a_limit_is_held_against_the_drop_as_measured():
    unproven = candidate("unproven", 0.94, 100, validation_p_value=0.3)
    assert choose([BASELINE, unproven], Limits(0.01)).name == "baseline"


def test_a_latency_limit_takes_jitter_for_none():
    slow = candidate("slow", 0.97, 100, 1.4)
    jittery = candidate("jittery", 0.97, 300, 1.01, speed="same")
    assert choose([BASELINE, slow, jittery], Limits(0.01, latency_ratio=1.0)).name == "jittery"


def test_the_baseline_may_be_the_best():
    choice = choose([BASELINE, candidate("a", 0.97, 1100)], Limits(0.0))
    assert choice.name == "baseline"
    assert "none is smaller than the model as it is" in choice.reason


def test_if_none_is_within_the_nearest_is_named_with_what_it_lacks():
    near = candidate("near", 0.94, 300, 0.62)
    choice = choose([BASELINE, near], Limits(0.01, latency_ratio=0.5))
    assert choice.name is None
    assert "The nearest is `near`" in choice.reason
    assert "loses 3 points of accuracy, 2 too many" in choice.reason
    assert "takes 0.62 of the baseline's time, 0.12 too much" in choice.reason


def test_nothing_is_chosen_of_nothing_usable():
    failed = Candidate(name="baseline", reason="no")
    assert choose([failed], Limits(0.01)).name is None


def test_a_limit_on_bytes_is_held_too():
    candidates = [BASELINE, candidate("a", 0.97, 500), candidate("b", 0.95, 100)]
    choice = choose(candidates, Limits(0.02, gzip_bytes=100))
    assert choice.name == "b"  # exactly the limit is within
    assert "have at most 100 bytes after gzip" in choice.reason


def test_the_nearest_says_its_excess_of_each_limit_and_who_keeps_each_alone():
    candidates = [BASELINE, candidate("a", 0.96, 500, 0.9), candidate("b", 0.60, 120, 0.5)]
    choice = choose(candidates, Limits(0.005, gzip_bytes=150, latency_ratio=0.8))
    assert (choice.name, choice.nearest) == (None, "b")
    assert choice.reason == (
        "No candidate would lose at most 0.5 points of validation accuracy, have at most 150 bytes "
        "after gzip and take at most 0.8 of the baseline's time. The nearest is `b`: it loses 37 "
        "points of accuracy, 36 too many. Of 3 usable candidates 1 the one on accuracy, 1 the one "
        "on size and 1 the one on time by itself."
    )


def test_what_is_not_usable_is_not_chosen():
    guessing = candidate("guessing", 0.97, 10, reason="no better than chance")
    assert choose([BASELINE, guessing], Limits(0.01)).name == "baseline"
    unusable = candidate("baseline", 0.5, 1000, reason="no better than chance")
    better = candidate("better", 0.97, 300, validation_p_value=0.001)
    assert choose([unusable, better], Limits(0.01)).name == "better"
