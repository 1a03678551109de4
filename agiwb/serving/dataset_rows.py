"""Rows of the data set that a served model learned from: to try it with, and to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.input_names import columns_of_inputs
from agiwb.artifacts.signature import Signature
from agiwb.datasets.dataset import CLASSIFYING, Dataset
from agiwb.errors import InputError
from agiwb.serving.example_inputs import input_kind, row_of_columns, row_of_numbers


@dataclass(frozen=True)
class Example:
    """One example of a data set's test split.

    Attributes:
        entered: What a person would enter for it: a text for each column of a table, one text
            for texts and numbers; None for an image.
        row: The same as the model takes it.
        truth: What the data set says is right.
    """

    entered: dict[str, str] | str | None
    row: Any
    truth: str


def example_of(data: Dataset, signature: Signature, number: int) -> Example:
    """Return example ``number`` of the test split as the model takes it.

    Raises:
        InputError: The model does not take what the data set has: it begins after the layers that
            read the raw input, perhaps.
    """
    features = data.test.features[number]
    truth = _truth(data, data.test.labels[number])
    kind, spec = input_kind(signature), signature.inputs[0]
    if kind == "table":
        columns = _columns(signature, data)
        entered = {name: str(features[column]) for name, column in columns.items()}
        return Example(entered, row_of_columns(entered, signature), truth)
    if (kind == "text") != (data.kind == "text"):
        raise _unfit(data, f"its examples are {data.kind}s")
    if kind == "text":
        return Example(str(features), str(features), truth)
    if kind == "numbers":
        text = ", ".join(str(value) for value in np.ravel(features))
        return Example(text, row_of_numbers(text, spec), truth)
    sizes = [size or 1 for size in spec.shape[1:]]
    if features.size != np.prod(sizes):
        raise _unfit(data, f"its images are {' x '.join(map(str, features.shape))}")
    return Example(None, np.asarray(features, np.float32).reshape(sizes), truth)


def usual_row(data: Dataset, signature: Signature) -> dict[str, Any]:
    """Return a row of a table as the model takes it that is usual in each of its columns.

    That is the median of the training split's numbers, and the most frequent of its words.

    Raises:
        InputError: The data set lacks a column.
    """
    known = data.train.features
    usual = {name: _usual(known[column]) for name, column in _columns(signature, data).items()}
    return row_of_columns(usual, signature)


def _columns(signature: Signature, data: Dataset) -> dict[str, str]:
    """Return the column of each input, or raise InputError."""
    names = [one.name for one in signature.inputs]
    found = columns_of_inputs(names, data.columns)
    if missing := [name for name in names if name not in found]:
        raise _unfit(data, f"it has no column {missing[0]!r}")
    return found


def _usual(column: NDArray[Any]) -> str:
    if column.dtype.kind == "O":
        values, counts = np.unique(column.astype(str), return_counts=True)
        return str(values[counts.argmax()])
    known = column[np.isfinite(column)]
    return str(np.sort(known)[len(known) // 2]) if len(known) else ""


def _truth(data: Dataset, label: Any) -> str:
    if data.task in CLASSIFYING:
        return str(data.classes[int(label)])
    if data.task == "multilabel":
        given = [name for name, is_so in zip(data.classes, label, strict=True) if is_so]
        return ", ".join(given) or "none"
    return f"{float(label):.6g}"


def _unfit(data: Dataset, why: str) -> InputError:
    return InputError(
        f"The data set {data.name} does not fit what this model takes: {why}.",
        "Give an input yourself.",
    )
