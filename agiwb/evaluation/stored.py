"""An evaluation's tables as arrays: what every view of it is drawn from, without loading TFMA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.evaluation.curves import CalibrationBins, Matrices
from agiwb.evaluation.fast.tables import METRICS_FILE, PLOTS_FILE
from agiwb.statistics import Interval

WHOLE = "all examples"
"""The slice that has every example."""
_COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


@dataclass(frozen=True)
class StoredMetric:
    """One number of one slice.

    Attributes:
        model: Its name in TFMA's config; empty if there is only one.
        slice: In words, as in ``label = 3``.
        columns: The slice's columns.
        values: Their values.
        name: The metric's.
        class_id: The class it is about; None for all.
        is_diff: Whether it is the model's less the baseline's.
        value: The number.
        interval: Of 95 %; None where none was computed.
    """

    model: str
    slice: str
    columns: tuple[str, ...]
    values: tuple[str, ...]
    name: str
    class_id: int | None
    is_diff: bool
    value: float
    interval: Interval | None


@dataclass(frozen=True)
class StoredCurves:
    """What curves are drawn of: by model and slice, and the matrices by class as well.

    The class is None where the metric is about no class in particular.
    """

    matrices: Mapping[tuple[str, str, int | None], Matrices]
    calibration: Mapping[tuple[str, str], CalibrationBins]


def read_metrics(folder: Path) -> tuple[StoredMetric, ...]:
    """Return the numbers of an evaluation; ``folder`` holds its files. None, if it has no table.

    Slices that are compared with another slice (TFMA's cross slices) are left out.
    """
    import pyarrow.parquet as pq

    path = folder / METRICS_FILE
    rows = pq.read_table(path).to_pylist() if path.is_file() else []
    return tuple(
        StoredMetric(
            model=row["model"],
            slice=row["slice"],
            columns=tuple(row["columns"]),
            values=tuple(row["values"]),
            name=row["metric"],
            class_id=row["class_id"],
            is_diff=row["is_diff"],
            value=row["value"],
            interval=None if row["low"] is None else Interval(row["low"], row["high"]),
        )
        for row in rows
        if row["compared_with"] is None
    )


def read_curves(folder: Path) -> StoredCurves:
    """Return the matrices and the calibration of an evaluation; empty if none were asked for.

    Calibration is that of the most probable class if it was asked for, else of all there is.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = folder / PLOTS_FILE
    if not path.is_file():
        return StoredCurves({}, {})
    table = pq.read_table(path)
    binary = table.filter(pc.is_valid(table["true_positives"]))
    matrices = {
        (model, name, class_id): Matrices(
            *(values[column] for column in ("threshold", *_COUNTS)),
        )
        for (model, name, class_id, _), values in _groups(binary, ("threshold", *_COUNTS)).items()
    }
    buckets = table.filter(pc.is_valid(table["upper"]))
    columns = ("threshold", "upper", "examples", "labels", "predictions")
    found = sorted(_groups(buckets, columns).items(), key=lambda item: item[0][3] == 1)
    calibration = {
        (model, name): CalibrationBins(*(values[column] for column in columns))
        for (model, name, class_id, _), values in found
        if class_id is None
    }
    return StoredCurves(matrices, calibration)


def _groups(
    table: Any, columns: tuple[str, ...]
) -> dict[tuple[str, str, int | None, int | None], dict[str, NDArray[np.float64]]]:
    """Return the columns of each model, slice, class and rank, in the order of the table."""
    keys = list(
        zip(*(table[name].to_pylist() for name in ("model", "slice", "class_id", "k")), strict=True)
    )
    places: dict[tuple[str, str, int | None, int | None], list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    arrays = {name: table[name].to_numpy() for name in columns}
    return {key: {name: arrays[name][rows] for name in columns} for key, rows in places.items()}
