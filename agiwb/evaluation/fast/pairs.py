"""Labels, predictions and weights of many rows at once, as TFMA prepares them for one.

``metric_util.to_label_prediction_example_weight`` of TFMA 0.52 is the definition; each rule here
is one of its rules for arrays of shape ``(rows, values)``. What it takes beyond such arrays
(sparse tensors, vocabularies) raises ``RowByRowOnlyError``, and is left to TFMA itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import ConfigError

_TOLERANCE = 1e-7
"""By how much TFMA lets a fractional label leave the range from 0 to 1."""


class RowByRowOnlyError(Exception):
    """These inputs are not plain arrays: TFMA's own code has to take them row by row."""


@dataclass(frozen=True)
class Wanted:
    """What a combiner asks for, in the words of TFMA's function."""

    eval_config: Any
    model_name: str = ""
    output_name: str = ""
    sub_key: Any = None
    aggregation_type: Any = None
    class_weights: Any = None
    example_weighted: bool = False
    fractional_labels: bool = False


@dataclass(frozen=True)
class Rows:
    """Inputs that are still one row an example: each of shape ``(rows, values)``."""

    labels: NDArray[Any]
    predictions: NDArray[Any]
    weights: NDArray[Any]


@dataclass(frozen=True)
class Pairs:
    """One label, one prediction and one weight an item; ``rows`` tells which row it is of."""

    rows: NDArray[np.intp]
    labels: NDArray[Any]
    predictions: NDArray[Any]
    weights: NDArray[np.float64]


def select_rows(extracts: Mapping[str, Any], wanted: Wanted) -> Rows:
    """Return the rows that ``wanted`` asks for, its sub key applied.

    Raises:
        RowByRowOnlyError: They are not plain arrays.
    """
    labels, predictions, weights = _looked_up(extracts, wanted)
    key = wanted.sub_key
    if key is None:
        return Rows(labels, predictions, weights)
    if key.k is not None:
        place = _top(predictions, key.k)[:, key.k - 1 :]
        labels, predictions = _taken(_dense(labels, predictions), predictions, place)
    elif key.top_k is not None:
        places = np.sort(_top(predictions, key.top_k), axis=1)
        if wanted.aggregation_type is None:
            kept = np.full(predictions.shape, -np.inf)
            values = np.take_along_axis(predictions, places, 1)
            np.put_along_axis(kept, places, values, 1)
            predictions = kept
        else:
            labels, predictions = _taken(_dense(labels, predictions), predictions, places)
    if key.class_id is not None:
        labels, predictions = _one_class(key.class_id, labels, predictions)
    return Rows(labels, predictions, weights)


def pair_up(extracts: Mapping[str, Any], wanted: Wanted) -> Pairs:
    """Return each label with its prediction, one after the other, as for ``flatten=True``.

    Raises:
        ConfigError: Labels are outside 0 to 1 where the metric needs a probability.
        RowByRowOnlyError: They are not plain arrays.
    """
    found = select_rows(extracts, wanted)
    labels, predictions = found.labels, found.predictions
    count, width = predictions.shape
    weights = found.weights.astype(np.float64)
    if weights.shape[1] == 1:
        weights = np.broadcast_to(weights, (count, width))
    elif weights.shape[1] != width:
        raise RowByRowOnlyError
    if wanted.class_weights:
        factors = [wanted.class_weights.get(index, 0.0) for index in range(width)]
        weights = weights * np.array(factors)
    labels = _dense(labels, predictions)
    rows = np.repeat(np.arange(count), width)
    pairs = Pairs(rows, labels.ravel(), predictions.ravel(), weights.ravel())
    return _fractions(pairs) if wanted.fractional_labels else pairs


def _looked_up(
    extracts: Mapping[str, Any], wanted: Wanted
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    spec = _model_spec(wanted)
    labels = extracts.get("labels")
    if spec is not None and spec.label_key:
        labels = _one_of(labels, spec.label_key)
    predictions = extracts.get("predictions")
    weights = extracts.get("example_weights") if wanted.example_weighted else None
    for name in (wanted.model_name, wanted.output_name):
        if name:
            if not isinstance(predictions, Mapping) or name not in predictions:
                raise RowByRowOnlyError
            predictions = predictions[name]
            labels, weights = _one_of(labels, name), _one_of(weights, name)
    if spec is not None and spec.prediction_key:
        predictions = _one_of(predictions, spec.prediction_key)
    labels, predictions = _plain(labels), _plain(predictions)
    if weights is None:
        weights = np.ones((len(predictions), 1), np.float32)
    return labels, predictions, _plain(weights)


def _model_spec(wanted: Wanted) -> Any:
    specs = wanted.eval_config.model_specs if wanted.eval_config else []
    for spec in specs:
        # TFMA calls the only model "" whatever its name is.
        if (spec.name if len(specs) > 1 else "") == wanted.model_name:
            return spec
    return None


def _one_of(values: Any, name: str) -> Any:
    return values[name] if isinstance(values, Mapping) and name in values else values


def _plain(values: Any) -> NDArray[Any]:
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "biuf":
        raise RowByRowOnlyError
    return values


def one_hot(labels: NDArray[Any], classes: int) -> NDArray[np.float64]:
    """Return a 1 in the column of each label; class -1, one that is not known, has none.

    Args:
        labels: Shape ``(rows, 1)``.
        classes: Number of columns.
    """
    index = labels[:, 0].astype(int)
    if len(index) and (index.min() < -1 or index.max() > classes):
        raise RowByRowOnlyError  # which says what is wrong, in TFMA's words
    made = np.zeros((len(index), classes))
    known = np.flatnonzero((index >= 0) & (index < classes))
    made[known, index[known]] = 1.0
    return made


def _dense(labels: NDArray[Any], predictions: NDArray[Any]) -> NDArray[Any]:
    if labels.shape == predictions.shape:
        return labels
    if labels.shape[1] != 1:
        raise RowByRowOnlyError
    return one_hot(labels, predictions.shape[1])


def _top(predictions: NDArray[Any], count: int) -> NDArray[np.intp]:
    if predictions.shape[1] < count:
        raise ConfigError(
            f"A metric asks for the {count} largest predictions, and the model gives "
            f"{predictions.shape[1]}.",
            "Set `top_k` or `k` in the binarize options to at most that.",
        )
    return np.argsort(-predictions, axis=-1, kind="stable")[:, :count]


def _taken(
    labels: NDArray[Any], predictions: NDArray[Any], places: NDArray[np.intp]
) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.take_along_axis(labels, places, 1), np.take_along_axis(predictions, places, 1)


def _one_class(
    class_id: int, labels: NDArray[Any], predictions: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    if not 0 <= class_id < predictions.shape[1]:
        raise ConfigError(
            f"A metric asks for class {class_id}, and the model gives {predictions.shape[1]}.",
            f"Give class ids from 0 to {predictions.shape[1] - 1} in the binarize options.",
        )
    chosen = predictions[:, class_id : class_id + 1]
    if labels.shape[1] == predictions.shape[1]:
        return labels[:, class_id : class_id + 1], chosen
    if labels.shape[1] != 1:
        raise RowByRowOnlyError
    return (labels == class_id).astype(int), chosen


def _fractions(pairs: Pairs) -> Pairs:
    """Return a label of 0 with what the label is short of 1, and a label of 1 with the rest."""
    labels, weights = pairs.labels, pairs.weights
    if len(labels) and (labels.min() < -_TOLERANCE or labels.max() > 1 + _TOLERANCE):
        raise ConfigError(
            f"A metric takes labels from 0 to 1, and they range from {labels.min():g} to "
            f"{labels.max():g}.",
            "For classes add `binarize` or `aggregate` options to its metrics spec; for numbers "
            "use the metrics of a regression.",
        )
    zeros, ones = weights * (1 - labels), weights * labels
    negative, positive = np.flatnonzero(zeros != 0), np.flatnonzero(ones != 0)
    places = np.concatenate((negative, positive))
    return Pairs(
        pairs.rows[places],
        np.repeat(np.array([0, 1], labels.dtype), (len(negative), len(positive))),
        pairs.predictions[places],
        np.concatenate((zeros[negative], ones[positive])),
    )
