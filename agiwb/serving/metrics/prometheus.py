"""The exposition of ``/metrics``: names as Prometheus' own conventions want them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from agiwb.serving.metrics.exposed import Exposed

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_Family = tuple[str, tuple[str, ...], str]
"""Name, labels and help."""

_MODEL, _VERSION = "model", "version"
_COUNTERS: tuple[_Family, ...] = (
    (
        "agiwb_requests_total",
        (_MODEL, _VERSION, "signature", "protocol", "code"),
        "Requests answered or refused, by canonical code.",
    ),
    ("agiwb_model_loads_total", (_MODEL, "result"), "Loads of versions."),
    ("agiwb_predictions_logged_total", (_MODEL,), "Predictions in the prediction log."),
    ("agiwb_predictions_lost_total", (_MODEL, "reason"), "Predictions the log could not take."),
    ("agiwb_shadow_compared_total", (_MODEL, _VERSION), "Predictions a shadow made as well."),
    (
        "agiwb_shadow_disagreements_total",
        (_MODEL, _VERSION),
        "Predictions for which a shadow answered otherwise.",
    ),
    ("agiwb_rollbacks_total", (_MODEL, "guard"), "Canaries ended by a guard."),
    ("agiwb_refused_total", ("reason",), "Requests refused before they reached a model."),
    ("agiwb_worker_losses_total", (), "Workers that ended unasked and were restarted."),
)
_GAUGES: tuple[_Family, ...] = (
    ("agiwb_requests_in_flight", (), "Requests being answered."),
    (
        "agiwb_model_version_state",
        (_MODEL, _VERSION, "state"),
        "1 for the state a version is in, 0 for the others.",
    ),
    ("agiwb_model_load_seconds", (_MODEL,), "How long the last load took, with its warm-up."),
    ("agiwb_workers", (), "Processes that answer, of a server with several."),
    ("agiwb_rollout_share", (_MODEL, _VERSION), "Share of the requests a version gets, 0 to 1."),
)
_HISTOGRAMS: tuple[_Family, ...] = (
    (
        "agiwb_request_seconds",
        (_MODEL, _VERSION, "protocol"),
        "From a request's body to its answer.",
    ),
    ("agiwb_runtime_seconds", (_MODEL, _VERSION), "Runs of a model, by batch."),
    ("agiwb_batch_rows", (_MODEL,), "Rows in a run of a model."),
)


def render_prometheus(metrics: Exposed, processes: Mapping[str, int] | None = None) -> bytes:
    """Return ``metrics`` and those of the process, in Prometheus' text format 0.0.4.

    Of several ``processes``, ids by name, each family ``process_*`` has the label ``worker``.
    """
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(metrics))
    if processes is None:
        ProcessCollector(registry=registry)
    else:
        registry.register(_Processes(processes))
    return generate_latest(registry)


class _Collector:
    """The families of one server, for a registry of ``prometheus_client``."""

    def __init__(self, metrics: Exposed) -> None:
        self._metrics = metrics

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        from agiwb import __version__

        values, histograms = self._metrics.values(), self._metrics.histograms()
        for name, labels, words in _COUNTERS:
            counter = CounterMetricFamily(name, words, labels=labels)
            for key, value in sorted(values.get(name, {}).items()):
                counter.add_metric(key, value)
            yield counter
        for name, labels, words in _GAUGES:
            gauge = GaugeMetricFamily(name, words, labels=labels)
            for key, value in sorted(values.get(name, {}).items()):
                gauge.add_metric(key, value)
            yield gauge
        for name, labels, words in _HISTOGRAMS:
            family = HistogramMetricFamily(name, words, labels=labels)
            for key, (histogram, counts, total) in sorted(
                histograms.get(name, {}).items(), key=lambda entry: entry[0]
            ):
                bounds = [*map(str, histogram.bounds), "+Inf"]
                family.add_metric(key, list(zip(bounds, counts, strict=True)), total)
            yield family
        info = GaugeMetricFamily("agiwb_build_info", "The server's version.", labels=("version",))
        info.add_metric((__version__,), 1)
        yield info


class _Processes:
    """The families ``process_*`` of several processes."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._processes = processes

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        from prometheus_client import ProcessCollector

        families: dict[str, Metric] = {}
        for worker, process_id in self._processes.items():
            for metric in ProcessCollector(pid=partial(int, process_id), registry=None).collect():
                family = families.setdefault(metric.name, metric)
                if family is not metric:
                    family.samples += metric.samples
                for sample in metric.samples:
                    sample.labels["worker"] = worker
        yield from families.values()
