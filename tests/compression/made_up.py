"""Measurements of a baseline that was never measured, for tests to vary."""

from __future__ import annotations

from agiwb.compression.candidate import Measurements
from agiwb.statistics import Interval

MEASURED = Measurements(
    validation_accuracy=0.97,
    validation_p_value=1.0,
    test_accuracy=0.975,
    accuracy_interval=Interval(0.95, 0.99),
    worse=0,
    better=0,
    p_value=1.0,
    agreement=1.0,
    size_bytes=60_000,
    gzip_bytes=50_000,
    latency_ms_p50=0.02,
    latency_ratio=1.0,
    latency_ratio_interval=Interval(1.0, 1.0),
    speed="same",
)
