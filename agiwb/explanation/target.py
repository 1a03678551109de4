"""Which number of a model's answer is explained."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset
from agiwb.errors import ConfigError, did_you_mean


def require_target(name: str | None, data: Dataset) -> None:
    """Raise ConfigError unless ``name`` is a class of ``data``, or None."""
    if name is None or name in data.classes:
        return
    if not data.classes:
        raise ConfigError(
            f"`target`: {data.name} has no classes, its task is {data.task}.", "Leave it away."
        )
    raise ConfigError(
        f"`target`: {data.name} has no class {name!r}.", did_you_mean(name, data.classes)
    )


def target_outputs(name: str | None, data: Dataset, answers: NDArray[Any]) -> NDArray[np.intp]:
    """Return the index of the explained output for each example: ``(examples,)``.

    It is that of the class ``name``, else of the example's most probable class or label. A model
    for two classes gives both their probabilities, and is treated as any other.
    """
    if name is not None:
        return np.full(len(answers), data.classes.index(name), np.intp)
    return np.asarray(answers.argmax(axis=1), np.intp)


def unit_of(data: Dataset) -> str:
    """Return what the explained number is, in a word."""
    return "probability" if data.classes else "prediction"
