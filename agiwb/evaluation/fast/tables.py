"""TFMA's result files as two Parquet tables, which every view reads without loading TFMA.

``metrics.parquet`` has a row for each number: ``model``, ``output``, ``slice`` in words,
``columns`` and ``values`` of that slice, ``compared_with`` (the baseline slice of a cross slice),
``metric``, ``class_id``, ``k``, ``top_k``, ``example_weighted``, ``is_diff``, ``value``, and the
ends of its 95 % interval, ``low`` and ``high``, which are null without one.

``plots.parquet`` has a row for each entry of a matrix or histogram: ``model``, ``output``,
``slice``, ``class_id``, ``k``, ``top_k``, ``plot`` (a name only if it is not a default one),
``threshold`` (of a bucket: its lower end) and the numbers of that kind of plot.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

METRICS_FILE = "metrics.parquet"
PLOTS_FILE = "plots.parquet"

_MATRIX = ("true_positives", "false_positives", "true_negatives", "false_negatives")
_BUCKET = ("upper", "examples", "labels", "predictions")


def write_tables(tfma_folder: Path, folder: Path) -> None:
    """Write both tables into ``folder``, of the results that TFMA's files hold."""
    import pyarrow as pa

    text, number, whole = pa.string(), pa.float64(), pa.int64()
    about = [("model", text), ("output", text), ("slice", text)]
    key = [("class_id", whole), ("k", whole), ("top_k", whole)]
    metrics = [
        *about, ("columns", pa.list_(text)), ("values", pa.list_(text)), ("compared_with", text),
        ("metric", text), *key, ("example_weighted", pa.bool_()), ("is_diff", pa.bool_()),
        ("value", number), ("low", number), ("high", number),
    ]  # fmt: skip
    plots = [
        *about, *key, ("plot", text), ("threshold", number),
        *((name, number) for name in (*_MATRIX, *_BUCKET)),
        ("actual_class", whole), ("predicted_class", whole), ("weight", number),
    ]  # fmt: skip
    _write(metric_rows(tfma_folder), pa.schema(metrics), folder / METRICS_FILE)
    _write(plot_rows(tfma_folder), pa.schema(plots), folder / PLOTS_FILE)


def metric_rows(tfma_folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric of each slice that is one number."""
    from tensorflow_model_analysis.api.model_eval_lib import load_metrics

    for entry in load_metrics(str(tfma_folder)):
        for found in entry.metric_keys_and_values:
            if found.value.WhichOneof("type") != "double_value":
                continue
            key, interval = found.key, found.confidence_interval
            bounded = found.HasField("confidence_interval")
            yield {
                **_about(entry, key),
                **_slice_values(entry),
                "metric": key.name,
                "example_weighted": key.example_weighted.value,
                "is_diff": key.is_diff,
                "value": found.value.double_value.value,
                "low": interval.lower_bound.double_value.value if bounded else None,
                "high": interval.upper_bound.double_value.value if bounded else None,
            }


def plot_rows(tfma_folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each entry of each plot of each slice."""
    from tensorflow_model_analysis.api.model_eval_lib import load_plots

    for entry in load_plots(str(tfma_folder)):
        for found in entry.plot_keys_and_values:
            about = _about(entry, found.key) | {"plot": found.key.name}
            for numbers in _entries(found.value):
                yield about | numbers


def _about(entry: Any, key: Any) -> dict[str, Any]:
    sub_key = {
        name: getattr(key.sub_key, name).value if key.sub_key.HasField(name) else None
        for name in ("class_id", "k", "top_k")
    }
    names = {"model": key.model_name, "output": key.output_name, "slice": _slice_name(entry)}
    return names | sub_key


def _slice_values(entry: Any) -> dict[str, Any]:
    baseline, key = _parts(entry)
    return {
        "columns": [single.column for single in key.single_slice_keys],
        "values": [_value(single) for single in key.single_slice_keys],
        "compared_with": None if baseline is None else _words(baseline),
    }


def _slice_name(entry: Any) -> str:
    baseline, key = _parts(entry)
    return _words(key) if baseline is None else f"{_words(baseline)} minus {_words(key)}"


def _parts(entry: Any) -> tuple[Any, Any]:
    """Return the baseline slice of a cross slice, or None, and the slice itself."""
    if entry.HasField("cross_slice_key"):
        pair = entry.cross_slice_key
        return pair.baseline_slice_key, pair.comparison_slice_key
    return None, entry.slice_key


def _words(key: Any) -> str:
    pairs = (f"{single.column} = {_value(single)}" for single in key.single_slice_keys)
    return ", ".join(pairs) or "all examples"


def _value(single: Any) -> str:
    kind = single.WhichOneof("kind")
    value = getattr(single, kind)
    return value.decode() if isinstance(value, bytes) else str(value)


def _entries(plot: Any) -> Iterator[dict[str, Any]]:
    for matrix in plot.confusion_matrix_at_thresholds.matrices:
        counts = {name: getattr(matrix, name) for name in _MATRIX}
        yield {"threshold": matrix.threshold} | counts
    for bucket in plot.calibration_histogram_buckets.buckets:
        yield {
            "threshold": bucket.lower_threshold_inclusive,
            "upper": bucket.upper_threshold_exclusive,
            "examples": bucket.num_weighted_examples.value,
            "labels": bucket.total_weighted_label.value,
            "predictions": bucket.total_weighted_refined_prediction.value,
        }
    for matrix in plot.multi_class_confusion_matrix_at_thresholds.matrices:
        for cell in matrix.entries:
            yield {
                "threshold": matrix.threshold,
                "actual_class": cell.actual_class_id,
                "predicted_class": cell.predicted_class_id,
                "weight": cell.num_weighted_examples,
            }


def _write(rows: Iterator[dict[str, Any]], schema: Any, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(rows), schema), path)
