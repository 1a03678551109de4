"""What an artifact answers for a split whose labels are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.resolve import ArtifactSource
from agiwb.datasets.dataset import Dataset, SplitName
from agiwb.errors import ConfigError, WorkError
from agiwb.runtimes.asking import answer_all
from agiwb.runtimes.runtime import open_runtime


def answer_split(found: ArtifactSource, data: Dataset, split: SplitName) -> NDArray[np.float32]:
    """Return the artifact's probabilities for a split, shape ``(examples, classes)``, all finite.

    Raises:
        ConfigError: The artifact knows another number of classes than the data set.
        WorkError: It answers with NaN or infinity.
    """
    name = found.artifact.name
    probabilities = answer_all(open_runtime(found.folder), data[split].features)
    if probabilities.shape[1:] != (len(data.classes),):
        raise ConfigError(
            f"`dataset`: {data.name} has {len(data.classes)} classes, but {name!r} answers with "
            f"shape {probabilities.shape[1:]}.",
            "Give the data set that the model was trained on.",
        )
    broken = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if broken:
        raise WorkError(
            f"{name!r} ({found.artifact.format}) answers with NaN or infinity for {broken} of "
            f"{len(probabilities)} examples of the {split} split.",
            "Train or convert the model again.",
        )
    return probabilities
