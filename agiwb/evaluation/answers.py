"""What a model answers for a split, whatever its inputs are, and which rows have no number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.resolve import ArtifactSource
from agiwb.conversion.parity.questions import require_width
from agiwb.conversion.prepared import prepared_inputs
from agiwb.datasets.dataset import Dataset, Split, SplitName
from agiwb.errors import WorkError
from agiwb.runtimes.asking import answer_batches
from agiwb.runtimes.runtime import Tensors, open_runtime


@dataclass(frozen=True)
class Answered:
    """The rows of a split for which every model gave numbers.

    Attributes:
        split: These rows.
        outputs: The model's answers by output, each ``(rows, values)``.
        baseline: Those of the model it is compared with; none without one.
        left_out: Rows for which a model answers with NaN or infinity.
    """

    split: Split
    outputs: Tensors
    baseline: Tensors
    left_out: int

    @property
    def first(self) -> NDArray[np.float32]:
        """The model's first output, float32."""
        return first_of(self.outputs)

    @property
    def first_of_baseline(self) -> NDArray[np.float32] | None:
        """The other model's first output."""
        return first_of(self.baseline) if self.baseline else None


def ask_models(
    found: ArtifactSource, baseline: ArtifactSource | None, data: Dataset, name: SplitName
) -> Answered:
    """Return what the model, and the one it is compared with, answer for a split.

    Raises:
        ConfigError: A model takes or gives other shapes than the data set has.
        WorkError: There is no row for which every model gives numbers.
    """
    split = data[name]
    outputs = ask_artifact(found, data, split)
    other = ask_artifact(baseline, data, split) if baseline else {}
    good = np.ones(len(split), bool)
    for array in (*outputs.values(), *other.values()):
        good &= np.isfinite(array).reshape(len(array), -1).all(axis=1)
    broken = int((~good).sum())
    if broken == len(split):
        raise WorkError(
            f"{found.artifact.name!r} ({found.artifact.format}) answers with NaN or infinity for "
            f"{broken} of {len(split)} examples of the {name} split.",
            "Train or convert the model again.",
        )
    if not broken:
        return Answered(split, outputs, other, 0)
    kept = np.flatnonzero(good)
    return Answered(split.take(kept), _taken(outputs, kept), _taken(other, kept), broken)


def ask_artifact(found: ArtifactSource, data: Dataset, split: Split) -> Tensors:
    """Return what an artifact answers to a split's rows, by output, each ``(rows, values)``.

    Raises:
        ConfigError: It takes or gives other shapes than the data set has.
    """
    runtime = open_runtime(found.folder)
    asked = prepared_inputs(found, runtime.signature, split.features, data.name)
    outputs = {
        output: values[:, None] if values.ndim == 1 else values
        for output, values in answer_batches(runtime, asked).items()
    }
    whose = repr(found.artifact.name)
    require_width(first_of(outputs), len(data.classes) or 1, data.name, whose)
    return outputs


def first_of(outputs: Tensors) -> NDArray[Any]:
    """Return the first output, float32."""
    return next(iter(outputs.values())).astype(np.float32, copy=False)


def _taken(outputs: Tensors, index: NDArray[np.intp]) -> Tensors:
    return {name: values[index] for name, values in outputs.items()}
