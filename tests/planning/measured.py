"""A measurement with round numbers."""

from __future__ import annotations

from typing import Any

from agiwb.planning.measuring import LoadPoint, Measurement


def measurement(**changes: Any) -> Measurement:
    """A run takes 100 us and each request 50 more; a lone client sees 0.4 ms, at worst 0.6."""
    known: dict[str, Any] = {
        "workers": 1,
        "points": [
            LoadPoint(
                concurrency=together,
                requests_per_s=1.0,
                cpu_us_per_request=100 / together + 50,
                requests_per_run=together,
            )
            for together in (1, 2, 8)
        ],
        "per_run_us": 100.0,
        "per_request_us": 50.0,
        "slowness": 1.0,
        "pause_us": 0.0,
        "pace_s": 1.0,
        "pace": [(0.0, 0.0), (1.0, 1.0)],
        "lone_ms": [0.4] * 100 + [0.6],
        "rows_together": 64,
        "merges": True,
        "timings_ms": {1: 0.1, 8: 0.17, 64: 0.73},
        "memory_mib": 70.0,
        "log_bytes": 500.0,
        "parquet_bytes": 100.0,
        "body_bytes": 600,
        "others_busy": 0.0,
    }
    return Measurement.model_validate({**known, **changes})
