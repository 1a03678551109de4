"""What traffic is sliced by: columns of few values, the hour of the day, the class answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset
from agiwb.errors import ConfigError, did_you_mean
from agiwb.monitoring.described import Categories, Description
from agiwb.monitoring.drift import feature_names
from agiwb.monitoring.log.profile import category_text

HOUR, PREDICTED = "hour", "predicted"
"""Slices that all traffic has: the hour of the day, UTC, and the class that was answered."""
MOST_VALUES = 24
"""Values of a column that are told apart, the most frequent ones."""
_HOUR_S, _HOURS = 3600, 24


@dataclass(frozen=True)
class SliceColumn:
    """What the rows are sliced by.

    Attributes:
        name: Of the column.
        served: Value of each of the window's rows, text.
        known: The same of the reference's; None if each slice is compared with all of it.
        reference: The reference's numbers, shape ``(rows, numbers)``.
        categories: Its columns of text by name, objects of shape ``(rows,)``.
    """

    name: str
    served: NDArray[Any]
    known: NDArray[Any] | None
    reference: NDArray[np.float32]
    categories: Categories = field(default_factory=dict)


def chosen_columns(wanted: Sequence[str] | None, data: Dataset) -> tuple[str, ...]:
    """Return the columns to slice by: those wanted, or else a table's columns of few categories.

    Raises:
        ConfigError: There is no such column, or it has too many values.
    """
    table = data.columns
    if wanted is None:
        features = data.train.features
        texts = (name for name in table if features.dtype[name].kind == "O")
        return tuple(name for name in texts if 1 < _values_in(features[name]) <= MOST_VALUES)
    of_array = feature_names(data.feature_shape) if data.features_are_numbers else ()
    known = (HOUR, PREDICTED, *table, *of_array)
    for name in wanted:
        if name not in known:
            raise ConfigError(
                f"`slices`: {data.name} has no column {name!r}.", did_you_mean(name, known)
            )
        if name in {HOUR, PREDICTED}:
            continue
        features = data.train.features
        column = (
            features[name]
            if name in table
            else features.reshape(len(features), -1)[:, of_array.index(name)]
        )
        if (count := _values_in(column)) > MOST_VALUES:
            raise ConfigError(
                f"`slices`: {name} has {count} different values in the training data.",
                f"Slice by a column of at most {MOST_VALUES}.",
            )
    return tuple(dict.fromkeys(wanted))


def slice_columns(
    names: Sequence[str],
    description: Description,
    data: Dataset,
    window: NDArray[Any],
    times: NDArray[np.float64],
    answers: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> list[SliceColumn]:
    """Return what the window and the reference are sliced by.

    Args:
        names: As of ``chosen_columns``.
        description: Of the data's examples.
        data: What the model was trained on.
        window: The window's examples.
        times: Theirs, Unix time in seconds.
        answers: The model's probabilities for the validation split, and for the window. A model
            answers otherwise to what it was trained on, so the reference of the slices by answer
            is the validation split.
    """
    validation, served = answers
    train = data.train.features
    texts = description.categories(train)
    made = []
    for name in names:
        if name == HOUR:
            hours = (times // _HOUR_S).astype(np.int64) % _HOURS
            values = np.array([f"{hour:02}:00 UTC" for hour in hours], object)
            made.append(SliceColumn(name, values, None, description.reference, texts))
        elif name == PREDICTED:
            asked = data.validation.features
            numbers, categories = description.numbers(asked), description.categories(asked)
            its, ours = (_answered(one, data.classes) for one in (served, validation))
            made.append(SliceColumn(name, its, ours, numbers, categories))
        else:
            its, ours = (_texts_of(description, name, one) for one in (window, train))
            made.append(SliceColumn(name, its, ours, description.reference, texts))
    return made


def _values_in(column: NDArray[Any]) -> int:
    return len(set(map(category_text, column.tolist())))


def _answered(probabilities: NDArray[np.float32], classes: Sequence[str]) -> NDArray[Any]:
    """Return the class answered to each row; "" where the answer is not finite."""
    finite = np.isfinite(probabilities).all(axis=1)
    named = np.array(classes, object)[np.nan_to_num(probabilities).argmax(axis=1)]
    return np.where(finite, named, "")


def _texts_of(description: Description, name: str, features: NDArray[Any]) -> NDArray[Any]:
    columns = description.categories(features)
    if name in columns:
        return columns[name]
    column = description.numbers(features)[:, description.names.index(name)]
    return np.array([category_text(value) for value in column.tolist()], object)
