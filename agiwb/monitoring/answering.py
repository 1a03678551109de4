"""Asking the served model's artifact about examples, whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.resolve import ArtifactSource
from agiwb.conversion.parity.questions import by_input, require_width
from agiwb.datasets.dataset import Dataset
from agiwb.errors import InputError, WorkError
from agiwb.runtimes.asking import answer_batches
from agiwb.runtimes.runtime import open_runtime

Ask = Callable[[NDArray[Any]], NDArray[np.float32]]


def asking(found: ArtifactSource, data: Dataset) -> Ask:
    """Return what gives the artifact's first output, float32 ``(rows, classes)``, for examples.

    Raises:
        InputError: The artifact begins after the layers that read strings: then numbers are logged
            that no data set holds.
    """
    if found.artifact.preprocessing is not None:
        raise InputError(
            f"The {found.artifact.format} artifact of {found.artifact.name!r} takes numbers in "
            f"place of strings, which cannot be compared with {data.name}.",
            "Serve and monitor one that reads strings itself: convert without "
            "`--no-preprocessing`.",
        )
    runtime = open_runtime(found.folder)

    def ask(features: NDArray[Any]) -> NDArray[np.float32]:
        given = answer_batches(runtime, by_input(features, runtime.signature, data.name))
        return next(iter(given.values())).astype(np.float32, copy=False)

    return ask


def answer_validation(ask: Ask, found: ArtifactSource, data: Dataset) -> NDArray[np.float32]:
    """Return the probabilities for the validation split, ``(examples, classes)``, all finite.

    Raises:
        ConfigError: The artifact knows another number of classes than the data set.
        WorkError: It answers with NaN or infinity.
    """
    name, probabilities = found.artifact.name, ask(data.validation.features)
    require_width(probabilities, len(data.classes) or 1, data.name, repr(name))
    broken = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if broken:
        raise WorkError(
            f"{name!r} ({found.artifact.format}) answers with NaN or infinity for {broken} of "
            f"{len(probabilities)} examples of the validation split.",
            "Train or convert the model again.",
        )
    return probabilities
