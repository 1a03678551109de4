"""Measurements of a baseline that was never measured, for tests to vary."""

from __future__ import annotations

from agiwb.compression.measurements import Measurements
from agiwb.statistics import Interval

MEASURED = Measurements(
    validation_accuracy=0.97,
    validation_interval=Interval(0.94, 0.985),
    validation_p_value=1.0,
    test_accuracy=0.975,
    accuracy_interval=Interval(0.95, 0.99),
    worse=0,
    better=0,
    p_value=1.0,
    agreement=1.0,
    kl_divergence=0.0,
    seed_validation_accuracies=(0.97,),
    seed_test_accuracies=(0.975,),
    size_bytes=60_000,
    gzip_bytes=50_000,
    xz_bytes=48_000,
    entropy_bytes=45_000,
    packed_bytes=44_000,
    batch_size=32,
    latency_ms_p50=0.02,
    latency_ms_p90=0.025,
    latency_ratio=1.0,
    latency_ratio_interval=Interval(1.0, 1.0),
    speed="same",
    batch_latency_ratio=1.0,
    batch_latency_ratio_interval=Interval(1.0, 1.0),
    batch_speed="same",
    load_ms=2.0,
    peak_memory_bytes=3_000_000,
)
