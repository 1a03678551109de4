"""The window: the served predictions that one run of the monitor step looks at."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

from agiwb.datasets.dataset import Dataset
from agiwb.errors import ConfigError, NotFoundError, WorkError
from agiwb.serving.prediction_log import PredictionWindow, read_predictions
from agiwb.settings import Settings


def read_window(name: str, last_rows: int | None, data: Dataset) -> PredictionWindow:
    """Return the ``last_rows`` rows served last as ``name``, or all.

    Raises:
        NotFoundError: Nothing was served under this name.
        ConfigError: What was served does not fit the data set.
    """
    folder = Settings().workspace_path / "predictions" / name
    window = read_predictions(folder, last_rows)
    if len(window) == 0:
        raise NotFoundError(
            f"No predictions of {name!r} have been logged: {folder} holds none.",
            "Serve the model with `agiwb serve` and send it requests first.",
        )
    shapes = window.features.shape[1:], window.probabilities.shape[1:]
    if shapes != (data.feature_shape, (len(data.classes),)):
        raise ConfigError(
            f"`dataset`: what was served as {name!r} does not fit {data.name}: its examples have "
            f"shape {shapes[0]} and its answers {shapes[1]}, not {data.feature_shape} and "
            f"{(len(data.classes),)}.",
            "Give the data set that the served model was trained on.",
        )
    return window


def reread_window(
    name: str, last_rows: int | None, end: float, fingerprint: str
) -> PredictionWindow:
    """Return the window that ended at ``end``, whatever a server has appended since.

    Raises:
        WorkError: The rows up to then are no longer those of the fingerprint.
    """
    folder = Settings().workspace_path / "predictions" / name
    newest = slice(-last_rows if last_rows else None, None)
    # As many rows again leave room for what was appended; if that was not enough, all are read.
    for rows in (last_rows and 2 * last_rows, None):
        window = _take(read_predictions(folder, rows).between(-math.inf, end), newest)
        if fingerprint_of(window) == fingerprint:
            return window
    raise WorkError(
        f"The predictions of {name!r} changed while they were read.", "Run the comparison again."
    )


def fingerprint_of(window: PredictionWindow) -> str:
    """Return the SHA-256 of a window's content."""
    digest = hashlib.sha256()
    for array in vars(window).values():
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def newest_version(window: PredictionWindow) -> PredictionWindow:
    """Return the rows that the version answered which also answered the newest row."""
    return _take(window, window.versions == window.versions[-1])


def _take(window: PredictionWindow, rows: Any) -> PredictionWindow:
    return PredictionWindow(*(array[rows] for array in vars(window).values()))
