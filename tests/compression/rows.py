"""Candidates made up for the purpose, as a sweep would have measured them."""

from __future__ import annotations

from typing import Any

from agiwb.compression.candidate import Candidate
from tests.compression.made_up import MEASURED


def row(
    name: str, accuracy: float, size: int, ratio: float = 1.0, reason: str = "", **more: Any
) -> Candidate:
    """Return a candidate of this validation accuracy, gzip bytes and latency ratio."""
    speed = "same" if ratio == 1.0 else "faster" if ratio < 1.0 else "slower"
    values = {"validation_accuracy": accuracy, "gzip_bytes": size, "latency_ratio": ratio}
    measured = MEASURED.model_copy(update={**values, "speed": speed, **more})
    return Candidate(name=name, reason=reason, measured=measured)


BASELINE_ROW = row("baseline", 0.97, 1000)
