"""The figures of a regression: TFMA's errors overall and on every slice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from agiwb.evaluation.tfma_engine import Predictions, import_tfma, is_candidate


class SliceErrors(BaseModel):
    """The errors on the examples whose ``column`` has ``value``, in the labels' own unit.

    ``bias`` is the mean prediction minus the mean label.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    value: str
    examples: int
    mae: float
    rmse: float
    bias: float


def regression_config(predictions: Predictions, most_mae: float | None) -> Any:
    """Return the ``tfma.EvalConfig`` of a regression; ``most_mae`` is a limit on all examples."""
    from tensorflow_model_analysis.proto import config_pb2 as tfma

    home = "tensorflow_model_analysis.metrics"
    error = tfma.MetricConfig(class_name="MeanAbsoluteError", module=home)
    if most_mae is not None:
        limit = error.per_slice_thresholds.add()
        limit.slicing_specs.add()
        limit.threshold.value_threshold.upper_bound.value = most_mae
    names = ("ExampleCount", "MeanLabel", "MeanPrediction")
    metrics = [
        error,
        tfma.MetricConfig(class_name="MeanSquaredError", module=home),
        *(tfma.MetricConfig(class_name=name) for name in names),
    ]
    return tfma.EvalConfig(
        model_specs=predictions.model_specs(),
        slicing_specs=predictions.slicing_specs(),
        metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
    )


def read_errors(folder: Path) -> tuple[SliceErrors, tuple[SliceErrors, ...]]:
    """Return the errors on all examples, whose column is empty, and those of each slice."""
    found = [_errors(entry) for entry in import_tfma().load_metrics(str(folder))]
    (overall,) = (entry for entry in found if not entry.column)
    slices = sorted(
        (entry for entry in found if entry.column), key=lambda entry: (entry.column, entry.value)
    )
    return overall, tuple(slices)


def _errors(entry: Any) -> SliceErrors:
    values = {
        found.key.name: found.value.double_value.value
        for found in entry.metric_keys_and_values
        if is_candidate(found.key)
    }
    keys = entry.slice_key.single_slice_keys
    return SliceErrors(
        column=keys[0].column if keys else "",
        value=keys[0].bytes_value.decode() if keys else "",
        examples=round(values["example_count"]),
        mae=values["mean_absolute_error"],
        rmse=math.sqrt(values["mean_squared_error"]),
        bias=values["mean_prediction"] - values["mean_label"],
    )
