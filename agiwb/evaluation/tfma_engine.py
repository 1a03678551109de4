"""Evaluation by TensorFlow Model Analysis (TFMA), in this process.

What TFMA 0.52 means by its own settings was measured, and decides how this module uses it:

- A plain ``threshold`` of a metric is applied to every slice, not to the whole only: both limits
  here are ``per_slice_thresholds``, one for the empty slice and one for each slice judged.
- The binarised ``Precision``, ``Recall`` and ``F1Score`` count a class as predicted where its
  probability is above 0.5, not where it is the largest, and their macro average is NaN in every
  slice of one label. So macro averages are taken from TFMA's confusion matrix instead.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.tensorflow_quietly import import_tensorflow

LABEL_KEY = "_label_id"
PREDICTION_KEY = "_probabilities"
"""TFMA's columns for labels and predictions; the underscore keeps them apart from slice columns."""

SliceKey = tuple[str, str]
"""A slice's column and its value."""

_ACCURACY = "sparse_categorical_accuracy"
_LOSS = "sparse_categorical_crossentropy"
_COUNT = "example_count"


@dataclass(frozen=True)
class Predictions:
    """What a model answered, beside what is true.

    Attributes:
        labels: int64, shape ``(examples,)``.
        probabilities: float32, shape ``(examples, classes)``.
        slices: Columns to slice by; each of shape ``(examples,)``, dtype str.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    slices: dict[str, NDArray[Any]]

    def slice_sizes(self) -> dict[SliceKey, int]:
        """Return the number of examples in each slice of every column."""
        sizes: dict[SliceKey, int] = {}
        for column, values in self.slices.items():
            names, counts = np.unique(values, return_counts=True)
            sizes |= {(column, str(name)): int(n) for name, n in zip(names, counts, strict=True)}
        return sizes


@dataclass(frozen=True)
class Thresholds:
    """Least accuracy overall and in each slice of at least ``min_slice_size`` examples."""

    min_accuracy: float
    min_slice_accuracy: float
    min_slice_size: int


@dataclass(frozen=True)
class Scores:
    """TFMA's figures for one set of examples; ``loss`` is the mean cross-entropy in nats."""

    examples: int
    correct: int
    loss: float

    @property
    def accuracy(self) -> float:
        """Share of examples whose most probable class is the true one."""
        return self.correct / self.examples


@dataclass(frozen=True)
class TfmaResult:
    """What TFMA found.

    Attributes:
        overall: Figures over all examples.
        slices: Figures of each slice, sorted by column and value.
        confusion: Examples by true class (rows) and most probable class (columns).
        blessed: TFMA's own verdict: no threshold failed.
        overall_failed: Whether the threshold over all examples failed.
        failed: The slices whose threshold failed.
    """

    overall: Scores
    slices: dict[SliceKey, Scores]
    confusion: NDArray[np.int64]
    blessed: bool
    overall_failed: bool
    failed: frozenset[SliceKey]


def import_tfma() -> ModuleType:
    """Return the ``tensorflow_model_analysis`` module, its and Beam's chatter off."""
    import_tensorflow()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_model_analysis as tfma
    for name in ("apache_beam", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    module: ModuleType = tfma
    return module


def run_tfma(predictions: Predictions, thresholds: Thresholds, folder: Path) -> TfmaResult:
    """Return TFMA's figures and verdict; ``folder`` holds them in TFMA's own files.

    ``tfma.load_eval_result(str(folder))`` and ``tfma.load_validation_result(str(folder))`` open
    them, there or wherever the folder is moved.
    """
    tfma = import_tfma()
    config = eval_config(predictions, thresholds)
    with warnings.catch_warnings():  # deprecations inside TFMA and Beam, which no user can mend
        warnings.simplefilter("ignore")
        _run_pipeline(tfma, _record_batch(predictions), config, folder)
        return read_tfma(folder, predictions.probabilities.shape[1])


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
    whole = tfma.SlicingSpec()
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(label_key=LABEL_KEY, prediction_key=PREDICTION_KEY)],
        slicing_specs=[whole, *(tfma.SlicingSpec(feature_keys=[c]) for c in predictions.slices)],
        metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
    )


def read_tfma(folder: Path, classes: int) -> TfmaResult:
    """Return what TFMA's files in ``folder`` say about a model of ``classes`` classes."""
    tfma = import_tfma()
    scores = {_key(entry.slice_key): _scores(entry) for entry in tfma.load_metrics(str(folder))}
    validation = tfma.load_validation_result(str(folder))
    failed = {_key(entry.slice_key) for entry in validation.metric_validations_per_slice}
    return TfmaResult(
        overall=scores[None],
        slices=dict(sorted((key, value) for key, value in scores.items() if key is not None)),
        confusion=_confusion(tfma.load_plots(str(folder)), classes),
        blessed=bool(validation.validation_ok),
        overall_failed=None in failed,
        failed=frozenset(key for key in failed if key is not None),
    )


def _run_pipeline(tfma: ModuleType, batch: Any, config: Any, folder: Path) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    # The runner is named, and the options are empty: by default Beam would try to download a
    # runner of its own, and read its options from this program's command line.
    with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
        _ = (
            pipeline
            | beam.Create([batch])
            | tfma.ExtractEvaluateAndWriteResults(
                eval_config=config,
                writers=tfma.default_writers(str(folder), eval_config=config),
                output_path=str(folder),
            )
        )


def _add_threshold(metric: Any, values: dict[str, str], least: float) -> None:
    added = metric.per_slice_thresholds.add()
    added.slicing_specs.add(feature_values=values)
    # TFMA's accuracy is a float32: 9 right of 10 is 0.89999998, which must pass a limit of 0.9.
    added.threshold.value_threshold.lower_bound.value = float(np.float32(least))


def _record_batch(predictions: Predictions) -> Any:
    """Return the examples as TFMA reads them: one Arrow batch with a list in every cell."""
    import pyarrow as pa

    def lists(values: Any, length: int = 1) -> Any:
        ends = np.arange(0, len(values) + 1, length, dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), pa.array(values))

    classes = predictions.probabilities.shape[1]
    columns = {
        LABEL_KEY: lists(predictions.labels),
        PREDICTION_KEY: lists(predictions.probabilities.ravel(), classes),
        **{name: lists(values.tolist()) for name, values in predictions.slices.items()},
    }
    return pa.RecordBatch.from_pydict(columns)


def _key(slice_key: Any) -> SliceKey | None:
    """Return a slice's column and value, or None for the slice of all examples."""
    for single in slice_key.single_slice_keys:
        return single.column, single.bytes_value.decode()
    return None


def _scores(entry: Any) -> Scores:
    values = {
        found.key.name: found.value.double_value.value for found in entry.metric_keys_and_values
    }
    examples = round(values[_COUNT])
    return Scores(examples, correct=round(values[_ACCURACY] * examples), loss=values[_LOSS])


def _confusion(plots: Iterator[Any], classes: int) -> NDArray[np.int64]:
    overall = next(entry for entry in plots if _key(entry.slice_key) is None)
    (plot,) = overall.plot_keys_and_values
    (matrix,) = plot.value.multi_class_confusion_matrix_at_thresholds.matrices
    confusion = np.zeros((classes, classes), np.int64)
    for cell in matrix.entries:
        confusion[cell.actual_class_id, cell.predicted_class_id] = round(cell.num_weighted_examples)
    return confusion
