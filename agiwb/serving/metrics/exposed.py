"""What the expositions are written from."""

from __future__ import annotations

from typing import Protocol

from agiwb.serving.metrics.histogram import Histogram
from agiwb.serving.metrics.metrics import Labels


class Exposed(Protocol):
    """The numbers of one process, or the sums of several."""

    def values(self) -> dict[str, dict[Labels, float]]:
        """Return all counters and gauges, by family and labels."""
        ...

    def histograms(self) -> dict[str, dict[Labels, tuple[Histogram, list[int], float]]]:
        """Return all histograms by family and labels, with cumulative counts and sums."""
        ...

    def render(self) -> bytes:
        """Return the exposition of ``/metrics``."""
        ...

    def render_tensorflow(self) -> bytes:
        """Return the exposition of ``/monitoring/prometheus/metrics``."""
        ...
