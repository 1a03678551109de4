"""Predictions to log, and a log of them."""

from __future__ import annotations

import os

import numpy as np

from agiwb.serving.prediction_log import LogPolicy, Prediction, PredictionLog


def prediction(time, rows=1, *, version=1, width=2, model="m", **fields):
    if "inputs" not in fields:
        features = np.full((rows, width), time) + np.arange(rows)[:, None] / 10
        fields["inputs"] = {"features": features.astype(np.float32)}
    fields = {
        "outputs": {"probabilities": np.tile(np.float32([0.2, 0.8]), (rows, 1))},
        "request_id": f"r{time}",
        **fields,
    }
    return Prediction(time=time, model=model, version=version, latency_ms=0.5, **fields)


def write(folder, *predictions, seen_at=None, **policy):
    """Log the predictions, of model m, in one segment; return its path."""
    log = PredictionLog(folder, policy=LogPolicy(**policy))
    for entry in predictions:
        log.append(entry)
    path = log._segments["m"].path
    log.close()
    if seen_at is not None:
        os.utime(path, (seen_at, seen_at))
    return path


def assert_same(found, expected):
    """Compare all fields; text comes back as objects."""
    for name in Prediction._fields:
        if name not in {"inputs", "outputs"}:
            assert getattr(found, name) == getattr(expected, name)
    for side in ("inputs", "outputs"):
        its, others = getattr(found, side), getattr(expected, side)
        assert list(its) == list(others)
        for name, array in its.items():
            other = others[name]
            assert array.shape == other.shape
            if other.dtype.kind in "OSU":
                assert array.tolist() == other.tolist()
            else:
                assert array.dtype == other.dtype
                np.testing.assert_array_equal(array, other)
