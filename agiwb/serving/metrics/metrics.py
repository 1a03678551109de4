"""The numbers of a running server, counted in microseconds and read by two expositions."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agiwb.serving.exchange import Api
from agiwb.serving.exchange import Protocol as WireProtocol
from agiwb.serving.metrics.histogram import (
    ROWS,
    SECONDS,
    TENSORFLOW_EXAMPLES,
    TENSORFLOW_MICROSECONDS,
    TENSORFLOW_QUEUE,
    Histogram,
)
from agiwb.serving.servables.states import State
from agiwb.serving.status import Code, Refusal

_REFUSALS = {
    Code.UNAUTHENTICATED: "auth",
    Code.PERMISSION_DENIED: "auth",
    Code.RESOURCE_EXHAUSTED: "rate",
    Code.UNAVAILABLE: "concurrency",
    Code.DEADLINE_EXCEEDED: "deadline",
    Code.INVALID_ARGUMENT: "malformed",
}
"""What a refusal is counted as; any other is about the model that was asked."""

_TOO_LARGE = 413

Labels = tuple[str, ...]
"""The values of a family's labels, in its order."""


class CountedLog(Protocol):
    """A prediction log that counts rows itself: by model, and by model and reason."""

    @property
    def logged(self) -> Mapping[str, int]:
        """Rows written."""
        ...

    @property
    def lost(self) -> Mapping[tuple[str, str], int]:
        """Rows not written."""
        ...


@dataclass(slots=True)
class _RequestSeries:
    """What one kind of request adds to; histograms are shared with other kinds."""

    status: list[int]
    seconds: Histogram
    microseconds: Histogram | None
    examples: Histogram | None
    count: int = 0


class Metrics:
    """Everything a server counts.

    Thread safety: all methods may be called from any thread. ``observe_request`` and
    ``observe_run`` cost 1 to 3 microseconds: the first request of a kind looks its counters up, and
    the others find them by one key. One lock guards them all, and is never held for longer.
    """

    def __init__(self) -> None:
        """Begin at zero."""
        self._lock = threading.Lock()
        self._series: dict[tuple[str, int, str, str, Code, str], _RequestSeries] = {}
        self._runs: dict[tuple[str, int, str], tuple[Histogram, Histogram, Histogram]] = {}
        self._in_flight = 0
        self._log: CountedLog | None = None
        self._values: dict[str, dict[Labels, float]] = defaultdict(dict)
        self._statuses: dict[Labels, list[int]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = defaultdict(dict)

    def observe_request(
        self,
        model: str,
        version: int,
        signature: str,
        protocol: WireProtocol,
        code: Code,
        seconds: float,
        rows: int,
        api: Api = "Predict",
    ) -> None:
        """Count one answered or refused request.

        Args:
            model: Its name; 'unknown' for one that is not served, so that clients cannot add names.
            version: 0 if none was found.
            signature: Its name; "" is the default.
            protocol: The protocol it came by.
            code: Its outcome.
            seconds: From the request's body to its answer.
            rows: Of its batch.
            api: TensorFlow Serving's method.
        """
        key = (model, version, signature, protocol, code, api)
        series = self._series.get(key)
        with self._lock:
            if series is None:
                series = self._series.get(key) or self._series_of(key)
            series.count += 1
            series.status[0] += 1
            series.seconds.observe(seconds)
            if series.microseconds is not None:
                series.microseconds.observe(seconds * 1e6)
                if series.examples is not None:
                    series.examples.observe(rows)

    def observe_run(
        self, model: str, version: int, seconds: float, rows: int, runtime: str = "TF1"
    ) -> None:
        """Count one run of a model, which may have answered several requests at once.

        ``runtime`` is for TensorFlow Serving's exposition, whose dashboards know ``TF1``.
        """
        key = (model, version, runtime)
        found = self._runs.get(key)
        with self._lock:
            if found is None:
                found = self._runs[key] = (
                    self._histogram("agiwb_runtime_seconds", (model, str(version)), SECONDS),
                    self._histogram("agiwb_batch_rows", (model,), ROWS),
                    self._histogram(
                        "runtime_latency", (model, "Predict", runtime), TENSORFLOW_MICROSECONDS
                    ),
                )
            found[0].observe(seconds)
            found[1].observe(rows)
            found[2].observe(seconds * 1e6)

    def enter(self) -> None:
        """Count a request that begins."""
        with self._lock:
            self._in_flight += 1

    def leave(self) -> None:
        """Count a request that has ended."""
        with self._lock:
            self._in_flight -= 1

    def refused(self, reason: str) -> None:
        """Count a request refused before it reached a model: auth, rate, body, ..."""
        self._add("agiwb_refused_total", (reason,), 1)

    def refused_for(self, error: BaseException) -> None:
        """Count a request that was refused with ``error``, if the server's limits are why."""
        if isinstance(error, Refusal) and error.code in _REFUSALS:
            self.refused(_REFUSALS[error.code] if error.http_status != _TOO_LARGE else "body")

    def version_state(self, model: str, version: int, state: State) -> None:
        """Note the state that a version has reached; one that has ended is told no more."""
        with self._lock:
            known = self._values["agiwb_model_version_state"]
            for name in State.__members__:
                labels = (model, str(version), name)
                if state is State.END:
                    known.pop(labels, None)
                else:
                    known[labels] = float(name == state.name)

    def loaded(self, model: str, result: str, seconds: float) -> None:
        """Count a load; ``result`` is ``ok`` or ``error``."""
        self._add("agiwb_model_loads_total", (model, result), 1)
        self._set("agiwb_model_load_seconds", (model,), seconds)

    def warmed(self, folder: str, seconds: float, records: int) -> None:
        """Note a warm-up with recorded requests."""
        labels = (folder, Code.OK.name)  # with one that failed, nothing is loaded
        with self._lock:
            latency = self._histogram("model_warmup_latency", labels, TENSORFLOW_MICROSECONDS)
            latency.observe(seconds * 1e6)
        self._add("model_warmup_records_read", labels, records)

    def ran_batch(self, pool: str, waited_s: Sequence[float]) -> None:
        """Count a batch of the batching queue, and the seconds that its requests waited in it.

        ``pool`` is the name of the threads that ran it.
        """
        with self._lock:
            name = "batching_session:queuing_latency"
            waited = self._histogram(name, (pool,), TENSORFLOW_QUEUE)
            for seconds in waited_s:
                waited.observe(seconds * 1e6)
        self._add("batching_session:wrapped_run_count", (), 1)

    def follow(self, log: CountedLog) -> None:
        """Tell the counters of ``log`` from now on."""
        self._log = log

    def shadow_compared(self, model: str, version: int, disagreements: int, rows: int = 1) -> None:
        """Count rows that the shadow ``version`` answered too, and those it answered otherwise."""
        labels = (model, str(version))
        self._add("agiwb_shadow_compared_total", labels, rows)
        self._add("agiwb_shadow_disagreements_total", labels, disagreements)

    def rollout_share(self, model: str, version: int, share: float) -> None:
        """Note the share of requests, 0 to 1, that ``version`` gets."""
        self._set("agiwb_rollout_share", (model, str(version)), share)

    def rolled_back(self, model: str, guard: str) -> None:
        """Count a canary that a guard has ended."""
        self._add("agiwb_rollbacks_total", (model, guard), 1)

    def values(self) -> dict[str, dict[Labels, float]]:
        """Return a copy of all counters and gauges, by family and labels."""
        with self._lock:
            values = {name: dict(by_labels) for name, by_labels in self._values.items()}
            values["agiwb_requests_in_flight"] = {(): self._in_flight}
            values["request_count"] = {key: count[0] for key, count in self._statuses.items()}
            requests: dict[Labels, float] = defaultdict(int)
            for (model, version, signature, protocol, code, _), series in self._series.items():
                requests[model, str(version), signature, protocol, code.name] += series.count
            values["agiwb_requests_total"] = dict(requests)
        if self._log is not None:
            logged, lost = dict(self._log.logged), dict(self._log.lost)
            values["agiwb_predictions_logged_total"] = {(it,): rows for it, rows in logged.items()}
            values["agiwb_predictions_lost_total"] = dict(lost.items())
            counts: dict[Labels, float] = defaultdict(int)
            for model, rows in logged.items():
                counts[model, Code.OK.name] += rows
            for (model, _), rows in lost.items():
                counts[model, Code.UNAVAILABLE.name] += rows
            values["request_log_count"] = dict(counts)
        return values

    def histograms(self) -> dict[str, dict[Labels, tuple[Histogram, list[int], float]]]:
        """Return all histograms by family and labels, with cumulative counts and sums of now."""
        with self._lock:
            return {
                name: {
                    labels: (histogram, histogram.cumulative(), histogram.total)
                    for labels, histogram in by_labels.items()
                }
                for name, by_labels in self._histograms.items()
            }

    def render(self) -> bytes:
        """Return the exposition of ``/metrics``, in Prometheus' text format."""
        from agiwb.serving.metrics.prometheus import render_prometheus

        return render_prometheus(self)

    def render_tensorflow(self) -> bytes:
        """Return the exposition of ``/monitoring/prometheus/metrics``, TensorFlow Serving's."""
        from agiwb.serving.metrics.tensorflow_names import render_tensorflow

        return render_tensorflow(self)

    def _series_of(self, key: tuple[str, int, str, str, Code, str]) -> _RequestSeries:
        model, version, _, protocol, code, api = key
        is_grpc = protocol.endswith("grpc")
        microseconds = examples = None
        if code is Code.OK:  # TensorFlow Serving measures only what succeeded
            # It writes the method as the path of REST does, and as gRPC's service does.
            entry = (model, api, "GRPC") if is_grpc else (model, api.lower(), "REST")
            microseconds = self._histogram("request_latency", entry, TENSORFLOW_MICROSECONDS)
            if api != "Predict":
                examples = self._histogram("request_example_counts", (model,), TENSORFLOW_EXAMPLES)
        series = self._series[key] = _RequestSeries(
            self._statuses.setdefault((model, code.name), [0]),
            self._histogram("agiwb_request_seconds", (model, str(version), protocol), SECONDS),
            microseconds,
            examples,
        )
        return series

    def _histogram(self, family: str, labels: Labels, bounds: tuple[float, ...]) -> Histogram:
        by_labels = self._histograms[family]
        return by_labels.get(labels) or by_labels.setdefault(labels, Histogram(bounds))

    def _add(self, family: str, labels: Labels, amount: float) -> None:
        with self._lock:
            by_labels = self._values[family]
            by_labels[labels] = by_labels.get(labels, 0) + amount

    def _set(self, family: str, labels: Labels, value: float) -> None:
        with self._lock:
            self._values[family][labels] = value
