"""Measurements, on numbers whose answer is known."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from agiwb.compression.measure import (
    chance_level,
    claim_speed,
    compare_latency,
    compare_quality,
    measure_size,
    noise_floor,
)
from agiwb.statistics import Interval, mcnemar_p_value, wilson_interval


def test_size_is_that_of_the_file_and_of_its_gzip(tmp_path: Path):
    file = tmp_path / "model.tflite"
    file.write_bytes(b"weights " * 1000)
    size = measure_size(file)
    assert size.size_bytes == 8000
    assert size.gzip_bytes == len(gzip.compress(b"weights " * 1000, 9, mtime=0)) < 100


def test_quality_counts_the_pairs():
    labels = np.array([0, 1, 2, 3, 4, 5])
    baseline = np.array([0, 1, 2, 0, 0, 0])
    predicted = np.array([0, 1, 0, 3, 4, 1])
    quality = compare_quality(predicted, baseline, labels)
    assert quality.accuracy == pytest.approx(4 / 6)
    assert quality.interval == wilson_interval(4, 6)
    assert (quality.worse, quality.better) == (1, 2)
    assert quality.p_value == mcnemar_p_value(1, 2)
    assert quality.agreement == pytest.approx(2 / 6)


def test_chance_is_the_share_of_the_most_frequent_class():
    assert chance_level(np.array([2, 2, 2, 0])) == 0.75


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
