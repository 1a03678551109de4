"""What is asked of TFMA where the user gives no ``EvalConfig``: metrics, thresholds, curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agiwb.evaluation.tfma_engine import Predictions

_MOST_CURVES = 20
"""Classes up to which each has its curves."""
_RATES = ("PredictedPositiveRate", "TPR", "FPR", "Precision")


@dataclass(frozen=True)
class Thresholds:
    """Least accuracy overall and in each slice of at least ``min_slice_size`` examples."""

    min_accuracy: float
    min_slice_accuracy: float
    min_slice_size: int


def eval_config(predictions: Predictions, thresholds: Thresholds) -> Any:
    """Return the ``tfma.EvalConfig``: metrics, slices, and a threshold for each that is judged."""
    from tensorflow_model_analysis.proto import config_pb2 as tfma

    accuracy = tfma.MetricConfig(class_name="SparseCategoricalAccuracy")
    _add_threshold(accuracy, {}, thresholds.min_accuracy)
    for (column, value), size in predictions.slice_sizes().items():
        if size >= thresholds.min_slice_size:
            _add_threshold(accuracy, {column: value}, thresholds.min_slice_accuracy)
    metrics = [
        tfma.MetricConfig(class_name="ExampleCount"),
        tfma.MetricConfig(class_name="SparseCategoricalCrossentropy"),
        # At -1 the most probable class always counts as predicted.
        tfma.MetricConfig(class_name="MultiClassConfusionMatrixPlot", config='"thresholds": [-1]'),
        accuracy,
    ]
    return tfma.EvalConfig(
        model_specs=predictions.model_specs(),
        slicing_specs=predictions.slicing_specs(),
        metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
    )


def with_views(wanted: Any, predictions: Predictions) -> Any:
    """Return a ``tfma.EvalConfig`` that also asks for what only views show.

    That is, how often the most probable class is right by its probability; of two classes, the
    rates by which groups are treated, under TFMA's own names; for each of at most 20 classes its
    binary confusion matrices at 100 thresholds; and intervals, if there are two models: both are
    drawn the same examples, so that those of differences are paired.
    """
    from tensorflow_model_analysis.proto import config_pb2 as tfma

    more = tfma.EvalConfig()
    more.CopyFrom(wanted)
    more.options.compute_confidence_intervals.value = predictions.baseline is not None
    classes = predictions.probabilities.shape[1]
    calibration = tfma.MetricConfig(class_name="CalibrationPlot", config='"num_buckets": 10')
    most_probable = tfma.BinarizationOptions(k_list={"values": [1]})
    more.metrics_specs.add(metrics=[calibration], binarize=most_probable)
    if classes == 2:  # there the most probable class is the one above one half
        rates = [
            tfma.MetricConfig(class_name=name, config='"thresholds": [0.5]') for name in _RATES
        ]
        more.metrics_specs.add(metrics=rates, binarize={"class_ids": {"values": [1]}})
    if classes <= _MOST_CURVES:
        matrices = tfma.MetricConfig(
            class_name="ConfusionMatrixPlot", config='"num_thresholds": 100'
        )
        each = tfma.BinarizationOptions(class_ids={"values": range(classes)})
        more.metrics_specs.add(metrics=[matrices], binarize=each)
    return more


def _add_threshold(metric: Any, values: dict[str, str], least: float) -> None:
    added = metric.per_slice_thresholds.add()
    added.slicing_specs.add(feature_values=values)
    # TFMA's accuracy is a float32: 9 right of 10 is 0.89999998, which must pass a limit of 0.9.
    added.threshold.value_threshold.lower_bound.value = float(np.float32(least))
