"""The metrics of all workers together, for the expositions."""

from __future__ import annotations

from typing import Any

from agiwb.serving.metrics.histogram import Histogram
from agiwb.serving.metrics.metrics import Labels
from agiwb.serving.workers.numbers import add_up


class SummedMetrics:
    """What the supervisor told of all workers, read as one Metrics is.

    Attributes:
        processes: Process ids by what they are: ``0`` and so on, and ``supervisor``.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        """Add up; ``told`` is the supervisor's reply to ``sum``."""
        self.processes: dict[str, int] = told["processes"]
        sums = add_up(told["numbers"])
        self._values: dict[str, dict[Labels, float]] = {
            family: {tuple(labels): value for labels, value in entries}
            for family, entries in sums["values"].items()
        }
        self._values["agiwb_workers"] = {(): float(told["up"])}
        self._values["agiwb_worker_losses_total"] = {(): float(told["losses"])}
        self._histograms = {
            family: {
                tuple(labels): (Histogram(bounds), counts, total)
                for labels, bounds, counts, total in entries
            }
            for family, entries in sums["histograms"].items()
        }

    def values(self) -> dict[str, dict[Labels, float]]:
        """Return all counters and gauges, by family and labels."""
        return {family: dict(entries) for family, entries in self._values.items()}

    def histograms(self) -> dict[str, dict[Labels, tuple[Histogram, list[int], float]]]:
        """Return all histograms by family and labels, with cumulative counts and sums."""
        return {family: dict(entries) for family, entries in self._histograms.items()}

    def render(self) -> bytes:
        """Return the exposition of ``/metrics``, in Prometheus' text format."""
        from agiwb.serving.metrics.prometheus import render_prometheus

        return render_prometheus(self, self.processes)

    def render_tensorflow(self) -> bytes:
        """Return the exposition of ``/monitoring/prometheus/metrics``, TensorFlow Serving's."""
        from agiwb.serving.metrics.tensorflow_names import render_tensorflow

        return render_tensorflow(self)
