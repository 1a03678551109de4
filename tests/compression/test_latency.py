"""What times say, on made-up times whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.compression.latency import claim_speed, compare_latency, noise_floor
from agiwb.statistics import Interval


def test_a_drift_of_the_machine_is_not_taken_for_a_difference():
    jitter = np.random.default_rng(0)
    drift = np.linspace(1, 3, 30)[:, np.newaxis]  # the machine becomes three times slower

    def times(milliseconds: float) -> np.ndarray:
        return milliseconds * drift * jitter.normal(1, 0.01, (30, 20))

    report = compare_latency(
        {"baseline": times(1), "half": times(0.5), "equal": times(1), "twin": times(1)},
        "baseline",
        "twin",
        seed=0,
    )
    assert set(report.by_name) == {"baseline", "half", "equal"}
    assert report.noise_ratio == pytest.approx(1, abs=0.01)
    assert 1.02 <= report.floor < 1.03
    baseline, half = report.by_name["baseline"], report.by_name["half"]
    assert (baseline.ratio, baseline.interval, baseline.speed) == (1, (1, 1), "same")
    assert baseline.p50_ms == pytest.approx(2, rel=0.05)
    assert baseline.p90_ms == pytest.approx(2.8, rel=0.05)
    assert half.ratio == pytest.approx(0.5, rel=0.01)
    assert half.interval.low < half.ratio < half.interval.high
    assert half.speed == "faster"
    assert report.by_name["equal"].speed == "same"


@pytest.mark.parametrize(
    ("interval", "twin", "claim"),
    [
        (Interval(0.90, 0.95), Interval(0.99, 1.01), "faster"),
        (Interval(1.05, 1.10), Interval(0.99, 1.01), "slower"),
        (Interval(0.90, 1.01), Interval(0.99, 1.01), "same"),
        # the twin differs as much, in whichever direction
        (Interval(0.90, 0.95), Interval(1.00, 1.06), "same"),
        (Interval(1.05, 1.10), Interval(0.94, 1.00), "same"),
        # narrow, but too little to matter
        (Interval(0.985, 0.986), Interval(1.0, 1.0), "same"),
    ],
)
def test_a_difference_is_claimed_only_beyond_the_noise(
    interval: Interval, twin: Interval, claim: str
):
    assert claim_speed(interval, noise_floor(twin)) == claim


def test_turns_may_have_different_lengths():
    report = compare_latency(
        {
            "baseline": np.full((5, 20), 2.0),
            "slow": np.full((5, 1), 100.0),
            "twin": np.full((5, 20), 2.0),
        },
        "baseline",
        "twin",
        seed=0,
    )
    slow = report.by_name["slow"]
    assert (slow.ratio, slow.interval, slow.speed) == (50, (50, 50), "slower")
