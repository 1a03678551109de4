"""The window: the served predictions that one run of the monitor step looks at."""

from __future__ import annotations

import hashlib

import numpy as np

from agiwb.datasets.dataset import Dataset
from agiwb.errors import ConfigError, NotFoundError
from agiwb.serving.prediction_log import PredictionWindow, read_predictions
from agiwb.settings import Settings

_AT_HAND: dict[str, PredictionWindow] = {}
"""Windows whose fingerprint was taken, until their runs ask for them, the oldest first."""
_MOST_AT_HAND = 4
"""A run that is reused never asks; runs in several threads may."""


def fix_window(name: str, last_rows: int | None, data: Dataset) -> str:
    """Return the SHA-256 of what was served as ``name``, and keep that window at hand.

    A server may append to the log between this moment and the run, which has to look at what its
    fingerprint promises.

    Raises:
        NotFoundError: Nothing was served under this name.
        ConfigError: What was served does not fit the data set.
    """
    window = read_window(name, last_rows, data)
    digest = hashlib.sha256()
    for array in (window.times, window.features, window.probabilities, window.versions):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    _AT_HAND[digest.hexdigest()] = window
    while len(_AT_HAND) > _MOST_AT_HAND:
        del _AT_HAND[next(iter(_AT_HAND))]
    return digest.hexdigest()


def take_window(fingerprint: str) -> PredictionWindow:
    """Return the window that ``fix_window`` kept for this fingerprint, and keep it no longer."""
    return _AT_HAND.pop(fingerprint)


def read_window(name: str, last_rows: int | None, data: Dataset) -> PredictionWindow:
    """Return the ``last_rows`` rows served last as ``name``, or all; see ``fix_window``."""
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
