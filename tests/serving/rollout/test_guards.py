from __future__ import annotations

import json

import numpy as np
import pytest

from agiwb.serving.rollout.comparison import Comparison, Difference
from agiwb.serving.rollout.guards import LOOK_EVERY, Watch
from agiwb.serving.rollout.state import Canary, Guards
from agiwb.serving.status import Code

CHAMPION, CHALLENGER = 1, 2


def watch(**guards):
    canary = Canary(version=CHALLENGER, share=0.5, guards=Guards(**guards))
    return Watch(CHAMPION, canary)


def feed(watched, codes, seconds, champion_codes=None, champion_seconds=None):
    """Return after how many of the challenger's requests a guard broke, and what."""
    for index, (code, duration) in enumerate(zip(codes, seconds, strict=True)):
        same = duration if champion_seconds is None else champion_seconds[index]
        usual = Code.OK if champion_codes is None else champion_codes[index]
        watched.observe(CHAMPION, usual, same)
        if watched.observe(CHALLENGER, code, duration) and (broken := watched.judge()):
            return index + 1, broken
    return None, None


def codes(rate, count, seed, bad=Code.INTERNAL):
    return np.where(np.random.default_rng(seed).random(count) < rate, bad, Code.OK).tolist()


def even(count):
    return [0.001] * count


def test_a_version_that_always_fails_is_found_at_the_first_look():
    after, broken = feed(watch(max_error_rate=0.01), codes(1.0, 500, 0), even(500))
    assert after == 100
    assert broken.guard == "max_error_rate"
    assert broken.evidence["failed"] == 100
    assert broken.evidence["challenger"]["error_rate"] == 1.0
    json.dumps(broken.evidence)


def test_a_rise_of_errors_after_a_long_health_is_found():
    healthy, faulty = codes(0.002, 5000, 1), codes(0.1, 1000, 2)
    after, _ = feed(watch(max_error_rate=0.01), healthy + faulty, even(6000))
    assert 5000 < after <= 5600


def test_a_challenger_at_its_limit_is_not_rolled_back_by_chance():
    for seed in range(4):
        watched = watch(max_error_rate=0.02, max_latency_ratio=1.0)
        seconds = np.random.default_rng(seed).lognormal(-7, 0.5, (2, 3000))
        after, _ = feed(watched, codes(0.02, 3000, seed), seconds[0], champion_seconds=seconds[1])
        assert after is None


def test_what_clients_get_wrong_is_not_held_against_the_challenger():
    bad = codes(0.3, 3000, 3, Code.INVALID_ARGUMENT)
    same = codes(0.3, 3000, 4, Code.INVALID_ARGUMENT)
    assert feed(watch(max_error_rate=0.01), bad, even(3000), same) == (None, None)


def test_a_challenger_that_takes_other_inputs_is_found():
    after, broken = feed(
        watch(max_error_rate=0.01), codes(1.0, 500, 0, Code.INVALID_ARGUMENT), even(500)
    )
    assert after == 100
    assert broken.evidence["refused"] == 100


@pytest.mark.parametrize("code", [Code.CANCELLED, Code.RESOURCE_EXHAUSTED, Code.UNAUTHENTICATED])
def test_failures_that_are_not_the_versions_do_not_count(code):
    assert feed(watch(max_error_rate=0.0), codes(1.0, 300, 0, code), even(300)) == (None, None)


@pytest.mark.parametrize(("body", "tail", "quantile"), [(2.0, 1.0, 0.5), (1.0, 3.0, 0.95)])
def test_a_slow_challenger_is_found(body, tail, quantile):
    random = np.random.default_rng(5)
    seconds = random.lognormal(-7, 0.2, (2, 4000))
    seconds[1] *= np.where(random.random(4000) < 0.15, tail * body, body)
    after, broken = feed(
        watch(max_latency_ratio=1.2), codes(0, 4000, 0), seconds[1], champion_seconds=seconds[0]
    )
    assert after is not None
    assert broken.guard == "max_latency_ratio"
    assert broken.evidence["quantile"] == quantile
    assert broken.evidence["ratio"] > broken.evidence["ratio_at_least"] > 1.2


def test_a_busy_hour_is_not_taken_for_a_slow_version():
    # At a share of 1 % the champion answers 99 requests for each of the challenger's; both are
    # ten times slower from the middle on.
    watched = watch(max_latency_ratio=1.5)
    random = np.random.default_rng(6)
    for index in range(600):
        slowness = 10 if index > 300 else 1
        for duration in random.lognormal(-7, 0.3, 99) * slowness:
            watched.observe(CHAMPION, Code.OK, duration)
        if watched.observe(CHALLENGER, Code.OK, random.lognormal(-7, 0.3) * slowness):
            assert watched.judge() is None
    assert watched.describe()["champion"]["requests"] == 600


def test_nothing_is_judged_on_too_few_requests():
    watched = watch(max_error_rate=0.01, min_requests=200)
    after, _ = feed(watched, codes(1.0, 500, 0), even(500))
    assert after == 200


def test_other_versions_are_no_concern():
    watched = watch(max_error_rate=0.01)
    for _ in range(1000):
        assert not watched.observe(7, Code.INTERNAL, 1.0)
    assert watched.describe()["champion"]["requests"] == 0


def test_looking_again_without_new_requests_looks_at_nothing():
    watched = watch(max_error_rate=0.0, min_requests=1)
    watched.observe(CHALLENGER, Code.OK, 0.001)
    assert watched.judge() is None
    watched.observe(CHALLENGER, Code.INTERNAL, 0.001)
    assert watched.judge() is None
    for _ in range(LOOK_EVERY - 1):
        watched.observe(CHALLENGER, Code.OK, 0.001)
    assert watched.judge().guard == "max_error_rate"


@pytest.mark.parametrize(("rate", "breaks"), [(0.2, True), (0.02, False)])
def test_disagreement_is_judged_by_the_shadows_comparison(rate, breaks):
    watched = watch(max_disagreement=0.02)
    comparison = Comparison(CHALLENGER)
    random = np.random.default_rng(8)
    broken = None
    for _ in range(1000):
        comparison.add(Difference(4, int(random.binomial(4, rate))), 0.001, 0.001)
        broken = broken or watched.judge(comparison)
    assert (broken is not None) == breaks
    if breaks:
        assert broken.guard == "max_disagreement"


def test_the_comparison_of_another_version_is_not_held_against_the_challenger():
    watched = watch(max_disagreement=0.02)
    comparison = Comparison(7)
    for _ in range(1000):
        comparison.add(Difference(4, 4), 0.001, 0.001)
    assert watched.judge(comparison) is None


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL])
def test_what_befalls_the_champion_as_well_is_not_held_against_the_challenger(code):
    for seed in range(4):
        bad, same = codes(0.3, 3000, seed, code), codes(0.3, 3000, seed + 10, code)
        assert feed(watch(max_error_rate=0.01), bad, even(3000), same) == (None, None)


def test_a_challenger_that_fails_far_more_often_than_the_champion_is_found():
    bad, same = codes(0.5, 1000, 0), codes(0.05, 1000, 1)
    after, broken = feed(watch(max_error_rate=0.01), bad, even(1000), same)
    assert after <= 200
    assert 0.05 < broken.evidence["champion_at_most"] < 0.4
    assert "more than the champion's" in broken.problem


def test_a_challenger_that_gets_all_requests_is_judged_by_the_limit_alone():
    watched = watch(max_error_rate=0.01)
    broken = None
    for _ in range(100):
        if watched.observe(CHALLENGER, Code.INTERNAL, 0.001):
            broken = broken or watched.judge()
    assert broken is not None


def test_a_client_without_patience_is_not_held_against_the_challenger():
    """Its requests all come to the challenger, as its sticky key has it."""
    hasty = codes(0.5, 1000, 0, Code.DEADLINE_EXCEEDED)
    seconds = [0.0001 if code == Code.DEADLINE_EXCEEDED else 0.002 for code in hasty]
    usual = [0.002] * 1000
    watched = watch(max_error_rate=0.01)
    assert feed(watched, hasty, seconds, champion_seconds=usual) == (None, None)


def test_a_challenger_that_hangs_until_the_deadline_is_found():
    late = codes(1.0, 500, 0, Code.DEADLINE_EXCEEDED)
    usual = [0.002] * 500
    after, broken = feed(watch(max_error_rate=0.01), late, [30.0] * 500, champion_seconds=usual)
    assert after == 100
    assert broken.evidence["failed"] == 100
