"""Small made-up data sets of each task, which a model can learn in seconds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Split, Task

SIDE = 6


def made_up(task: Task, examples: int = 320, classes: int = 3) -> Dataset:
    """Return vectors whose label depends on them linearly, in three splits."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(examples, SIDE)).astype(np.float32)
    scores = features @ rng.normal(size=(SIDE, classes))
    labels: NDArray[Any]
    if task == "regression":
        labels = (100 + 20 * scores[:, 0]).astype(np.float32)
    elif task == "multilabel":
        labels = (scores > 0).astype(np.float32)
    elif task == "binary":
        labels = (scores[:, 0] > 0).astype(np.int64)
    else:
        labels = scores.argmax(axis=1)
    names = {"regression": 0, "binary": 2}.get(task, classes)
    whole = Split(features, labels)
    rows = np.split(np.arange(examples), [examples // 2, 3 * examples // 4])
    train, validation, test = (whole.take(part) for part in rows)
    named = tuple(f"class {index}" for index in range(names))
    return Dataset("made_up", named, 1.0, train, validation, test, task=task)
