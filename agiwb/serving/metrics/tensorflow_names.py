"""TensorFlow Serving's exposition, with the names, labels and units that its dashboards know.

The rules are those of its ``util/prometheus_exporter.cc``: ``/`` of a name becomes ``:``, there is
a ``# TYPE`` line and no ``# HELP``, counters have no suffix, latencies are in microseconds.
Prometheus reads it; ``promtool check metrics`` finds fault with the names.
"""

from __future__ import annotations

from collections.abc import Sequence

from agiwb.serving.metrics.exposed import Exposed

_PREFIX = ":tensorflow:serving:"
_COUNTERS: dict[str, tuple[str, ...]] = {
    "batching_session:wrapped_run_count": (),
    "model_warmup_records_read": ("model_path", "status"),
    "request_count": ("model_name", "status"),
    "request_example_count_total": ("model",),
    "request_log_count": ("model_name", "status_code"),
}
_HISTOGRAMS: dict[str, tuple[str, ...]] = {
    "batching_session:queuing_latency": ("thread_pool_name",),
    "model_warmup_latency": ("model_path", "status"),
    "request_example_counts": ("model",),
    "request_latency": ("model_name", "API", "entrypoint"),
    "runtime_latency": ("model_name", "API", "runtime"),
}


def render_tensorflow(metrics: Exposed) -> bytes:
    """Return ``metrics`` as TensorFlow Serving writes them, sorted by name."""
    values, histograms = metrics.values(), metrics.histograms()
    values["request_example_count_total"] = {
        labels: total
        for labels, (_, _, total) in histograms.get("request_example_counts", {}).items()
    }
    lines = []
    for family in sorted((*_COUNTERS, *_HISTOGRAMS)):
        name = _PREFIX + family
        if family in _COUNTERS:
            lines.append(f"# TYPE {name} counter")
            for key, value in sorted(values.get(family, {}).items()):
                lines.append(f"{name}{{{_written(_COUNTERS[family], key)}}} {value:.0f}")
            continue
        lines.append(f"# TYPE {name} histogram")
        for key in sorted(histograms.get(family, {})):
            histogram, counts, total = histograms[family][key]
            labels = _written(_HISTOGRAMS[family], key)
            bounds = [*(f"{bound:.6g}" for bound in histogram.bounds), "+Inf"]
            lines += [
                f'{name}_bucket{{{labels},le="{bound}"}} {count}'
                for bound, count in zip(bounds, counts, strict=True)
            ]
            lines.append(f"{name}_sum{{{labels}}} {total:.6g}")
            lines.append(f"{name}_count{{{labels}}} {counts[-1]}")
    return ("\n".join(lines) + "\n").encode()


def _written(names: Sequence[str], values: Sequence[str]) -> str:
    return ",".join(
        f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
