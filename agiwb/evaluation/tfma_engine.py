"""What TensorFlow Model Analysis (TFMA) is given, and what its result files say.

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
BASELINE_KEY = "_baseline"
"""TFMA's columns for labels and predictions; the underscore keeps them apart from slice columns."""

SliceKey = tuple[str, str]
"""A slice's column and its value."""

CANDIDATE, BASELINE = "candidate", "baseline"
"""What TFMA calls the two models of a comparison."""

_ACCURACY = "sparse_categorical_accuracy"
_LOSS = "sparse_categorical_crossentropy"
_COUNT = "example_count"


@dataclass(frozen=True)
class Predictions:
    """What a model answered, beside what is true.

    Attributes:
        labels: int64, shape ``(examples,)``; of a regression float32.
        probabilities: float32, shape ``(examples, classes)``; of a regression its predictions,
            shape ``(examples, 1)``.
        slices: Columns to slice by; each of shape ``(examples,)``, dtype str.
        baseline: What the model that it is compared with answered, likewise.
    """

    labels: NDArray[Any]
    probabilities: NDArray[np.float32]
    slices: dict[str, NDArray[Any]]

    baseline: NDArray[np.float32] | None = None

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return all of it by the names that ``eval_config`` has for them."""
        found = {LABEL_KEY: self.labels, PREDICTION_KEY: self.probabilities, **self.slices}
        return found if self.baseline is None else found | {BASELINE_KEY: self.baseline}

    def model_specs(self) -> list[Any]:
        """Return TFMA's model specs: the model, and the one it is compared with if there is one."""
        from tensorflow_model_analysis.proto import config_pb2 as tfma

        if self.baseline is None:
            return [tfma.ModelSpec(label_key=LABEL_KEY, prediction_key=PREDICTION_KEY)]
        return [
            tfma.ModelSpec(name=CANDIDATE, label_key=LABEL_KEY, prediction_key=PREDICTION_KEY),
            tfma.ModelSpec(
                name=BASELINE, label_key=LABEL_KEY, prediction_key=BASELINE_KEY, is_baseline=True
            ),
        ]

    def slicing_specs(self) -> list[Any]:
        """Return TFMA's slicing specs: the whole, and each column."""
        from tensorflow_model_analysis.proto import config_pb2 as tfma

        return [tfma.SlicingSpec(), *(tfma.SlicingSpec(feature_keys=[c]) for c in self.slices)]

    def slice_sizes(self) -> dict[SliceKey, int]:
        """Return the number of examples in each slice of every column."""
        sizes: dict[SliceKey, int] = {}
        for column, values in self.slices.items():
            names, counts = np.unique(values, return_counts=True)
            sizes |= {(column, str(name)): int(n) for name, n in zip(names, counts, strict=True)}
        return sizes


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


def is_candidate(key: Any) -> bool:
    """Return whether a metric is the evaluated model's own, not a baseline's or a difference."""
    return key.model_name in {"", CANDIDATE} and not getattr(key, "is_diff", False)


def _key(slice_key: Any) -> SliceKey | None:
    """Return a slice's column and value, or None for the slice of all examples."""
    for single in slice_key.single_slice_keys:
        return single.column, single.bytes_value.decode()
    return None


def _scores(entry: Any) -> Scores:
    values = {
        found.key.name: found.value.double_value.value
        for found in entry.metric_keys_and_values
        if is_candidate(found.key)
    }
    examples = round(values[_COUNT])
    return Scores(examples, correct=round(values[_ACCURACY] * examples), loss=values[_LOSS])


def _confusion(plots: Iterator[Any], classes: int) -> NDArray[np.int64]:
    overall = next(entry for entry in plots if _key(entry.slice_key) is None)
    (matrix,) = (
        matrix
        for found in overall.plot_keys_and_values
        if is_candidate(found.key)
        for matrix in found.value.multi_class_confusion_matrix_at_thresholds.matrices
    )
    confusion = np.zeros((classes, classes), np.int64)
    for cell in matrix.entries:
        confusion[cell.actual_class_id, cell.predicted_class_id] = round(cell.num_weighted_examples)
    return confusion
