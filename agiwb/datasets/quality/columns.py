"""Each column of a table, or each number of an array, by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import CLASSIFYING, Dataset, Split
from agiwb.datasets.quality.leakage import skill
from agiwb.datasets.quality.report import ColumnQuality

MOST_COLUMNS = 200
"""More columns than these are not looked at one by one."""


def columns_of(data: Dataset, looked_at: dict[str, Split]) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the values of each column in each split; none for what has no columns."""
    train = looked_at["train"].features
    if train.dtype.names:
        return {
            name: {split: part.features[name] for split, part in looked_at.items()}
            for name in train.dtype.names[:MOST_COLUMNS]
        }
    if data.kind == "array" and train.ndim == 2 and train.shape[1] <= MOST_COLUMNS:
        return {
            f"feature {number}": {
                split: part.features[:, number] for split, part in looked_at.items()
            }
            for number in range(train.shape[1])
        }
    return {}


def examine_columns(data: Dataset, looked_at: dict[str, Split]) -> tuple[ColumnQuality, ...]:
    """Return what is to be said of each column."""
    tries_skill = data.kind in {"table", "array"} and data.task in {*CLASSIFYING, "regression"}
    labels = looked_at["train"].labels
    return tuple(
        _examined(name, values, labels if tries_skill else None)
        for name, values in columns_of(data, looked_at).items()
    )


def _examined(
    name: str, values: dict[str, NDArray[Any]], labels: NDArray[Any] | None
) -> ColumnQuality:
    train = values["train"]
    is_text = train.dtype.kind == "O"
    missing = {split: _is_missing(column) for split, column in values.items()}
    present = train[~missing["train"]]
    distinct, most_common = _counts(present)
    infinite = 0 if is_text else sum(int(np.isinf(column).sum()) for column in values.values())
    return ColumnQuality(
        name=name,
        is_text=is_text,
        missing={split: float(absent.mean()) for split, absent in missing.items()},
        infinite=infinite,
        distinct=distinct,
        most_common_share=most_common / max(1, len(present)),
        unseen={
            split: _unseen(present, values[split][~missing[split]])
            for split in values
            if split != "train"
        },
        skill=None if labels is None or distinct < 2 else skill(train, labels),
    )


def _is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    absent: NDArray[np.bool_] = values == "" if values.dtype.kind == "O" else np.isnan(values)
    return absent


def _counts(values: NDArray[Any]) -> tuple[int, int]:
    """Return how many different values there are, and how often the most common one comes."""
    if len(values) == 0:
        return 0, 0
    if values.dtype.kind == "O":
        import pandas as pd

        counts = np.bincount(pd.factorize(values)[0])
    else:
        counts = np.unique(values, return_counts=True)[1]
    return len(counts), int(counts.max())


def _unseen(known: NDArray[Any], others: NDArray[Any]) -> float:
    if len(known) == 0 or len(others) == 0:
        return 0.0
    if known.dtype.kind == "O":
        vocabulary = set(known)
        return sum(text not in vocabulary for text in others) / len(others)
    return float(((others < known.min()) | (others > known.max())).mean())
