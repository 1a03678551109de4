"""Requests that were served and have got a label since, as rows of a data set."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Split
from agiwb.monitoring.log import is_logged, join_labels, prediction_folder
from agiwb.monitoring.window import as_in
from agiwb.runs.context import Context

ORIGIN = "origin"
"""The slice column that tells where a row is from."""
FRESH = "fresh"
"""Of rows that were served, or given to a retraining as new."""
NOT_KNOWN = "not known"
"""What a served row has in slice columns that its features do not tell."""

KNOWN_BY = "labels_known_by"
"""The input of a step that says up to when labels count: more may come in while it runs."""


def labels_known_by(context: Context) -> float:
    """Return the Unix time up to which labels count in this run."""
    return float(context.run.provenance.inputs.get(KNOWN_BY, math.inf))


@dataclass(frozen=True)
class ServedRows:
    """Labelled rows in order of time, each request's features once.

    Attributes:
        split: Features, labels (indices of the data set's classes) and the slices that these tell.
        times: float64 ``(rows,)``: when each was served, Unix time in seconds.
        unknown: Rows left out since their label names no class.
        known_by: When the newest label arrived; -inf without any.
    """

    split: Split
    times: NDArray[np.float64]
    unknown: int = 0
    known_by: float = -math.inf

    def __len__(self) -> int:
        return len(self.times)

    def take(self, index: NDArray[np.intp]) -> ServedRows:
        """Return the rows at ``index``."""
        return replace(self, split=self.split.take(index), times=self.times[index])

    def digest(self) -> str:
        """Return the SHA-256 of features, labels and times."""
        whole = hashlib.sha256(self.split.digest().encode())
        whole.update(np.ascontiguousarray(self.times).tobytes())
        return whole.hexdigest()


def served_rows(
    name: str,
    data: Dataset,
    since: float = -math.inf,
    until: float = math.inf,
    known_by: float = math.inf,
) -> ServedRows:
    """Return the labelled rows that were served under ``name``, whichever version answered.

    Args:
        name: The served model's.
        data: What the model was trained on; it says the classes and what an example is.
        since: The first Unix time in seconds, of the requests.
        until: The last.
        known_by: The last Unix time at which a label may have arrived.

    Raises:
        ConfigError: What was served does not fit the data set.
    """
    folder = prediction_folder(name)
    if not is_logged(folder):
        nothing = Split(data.train.features[:0], data.train.labels[:0])
        return ServedRows(nothing, np.zeros(0))
    found = join_labels(folder, since, until, known_by=known_by)
    features, labels = data.train.features[:0], found.classes(data.classes)
    if len(found):
        features = as_in(data, name, found.window).features
    known = labels >= 0
    return ServedRows(
        split=Split(features[known], labels[known], told_slices(data.train, features[known])),
        times=found.window.times[known],
        unknown=int((~known).sum()),
        known_by=float(found.received.max(initial=-math.inf)),
    )


def told_slices(known: Split, features: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the slices of other rows of a table, as far as a column of it is sliced by.

    Args:
        known: Rows whose slices are known.
        features: Other rows; a value that the known ones do not have is in no known slice.
    """
    told = {}
    for name in known.slices.keys() & set(features.dtype.names or ()):
        slice_of = dict(
            zip(known.features[name].tolist(), known.slices[name].tolist(), strict=True)
        )
        its = [slice_of.get(value, NOT_KNOWN) for value in features[name].tolist()]
        told[name] = np.array(its, str)
    return told


def together(data: Split, fresh: Split, origin: NDArray[Any]) -> Split:
    """Return the rows of a split with fresh ones behind them, told apart by a slice column.

    Args:
        data: Examples.
        fresh: Examples of the same form.
        origin: Where each of ``data`` is from, str, ``(rows,)``.
    """
    columns = {
        name: np.concatenate([values, fresh.slices.get(name, np.full(len(fresh), NOT_KNOWN))])
        for name, values in data.slices.items()
        if name != ORIGIN
    }
    columns[ORIGIN] = np.concatenate([origin, np.full(len(fresh), FRESH)])
    return Split(
        np.concatenate([data.features, fresh.features.astype(data.features.dtype)]),
        np.concatenate([data.labels, fresh.labels]),
        columns,
    )
