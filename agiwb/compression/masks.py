"""Masks: which weights are zero, held by the optimiser while the others train."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.shared_values import joined, value_groups

if TYPE_CHECKING:
    import keras

_ROUNDING = 1e-6
"""Of a weight: 0.29 * 100 is 28.999999999999996, and means 29."""


@dataclass(frozen=True)
class Choice:
    """Which weights go, and when.

    Attributes:
        criterion: ``magnitude`` takes the smallest; ``random`` any, as a control of what the
            magnitude is worth.
        scope: ``layer`` takes the same share of each kernel; ``global`` compares the weights of
            all kernels, so that some lose more than others.
        schedule: ``polynomial`` lets the sparsity grow over the first part of the fine-tuning;
            ``constant`` begins with all of it.
        seed: Of the random criterion.
    """

    criterion: Literal["magnitude", "random"] = "magnitude"
    scope: Literal["layer", "global"] = "layer"
    schedule: Literal["polynomial", "constant"] = "polynomial"
    seed: int = 0


def magnitude_mask(kernel: NDArray[Any], sparsity: float) -> NDArray[np.float32]:
    """Return 0 for the ``floor(sparsity * size)`` weights nearest to zero and 1 for the others.

    Of weights that are equally small any may be the ones to go; their number is always exact.
    """
    count = math.floor(sparsity * kernel.size + _ROUNDING)
    mask = np.ones(kernel.size, np.float32)
    if count:
        mask[np.argpartition(np.abs(kernel).ravel(), count - 1)[:count]] = 0
    return mask.reshape(kernel.shape)


class Masks:
    """One mask for each kernel, enforced by the optimiser after each batch.

    The mask is the kernel's constraint: Keras applies it inside the compiled training step, so
    what is pruned stays zero without a copy between Python and TensorFlow. Weights that are zero
    from the start stay so, and those that share a value keep to one.
    """

    def __init__(self, kernels: list[keras.Variable], choice: Choice = Choice()) -> None:
        import keras

        self._scope = choice.scope
        self._pairs = []
        self._alive = []
        self._ranks = []
        random = np.random.default_rng(choice.seed)
        for kernel in kernels:
            values = kernel.numpy()
            alive = (values != 0).astype(np.float32)
            mask = keras.Variable(alive, trainable=False)
            kernel.constraint = _masked(mask, kernel.constraint, value_groups(values))
            self._pairs.append((kernel, mask))
            self._alive.append(alive)
            drawn = choice.criterion == "random"
            # Above zero, so that what is zero already is among what goes.
            self._ranks.append(1 + random.random(values.shape) if drawn else None)

    def tighten(self, sparsity: float) -> None:
        """Draw the masks for ``sparsity`` and apply them; zeros, being smallest, stay zeros."""
        weights = [kernel.numpy() for kernel, _ in self._pairs]
        scores = [
            np.abs(values) if rank is None else rank * (values != 0)
            for values, rank in zip(weights, self._ranks, strict=True)
        ]
        masks = self._masks(scores, sparsity)
        for (kernel, mask), alive, drawn in zip(self._pairs, self._alive, masks, strict=True):
            mask.assign(drawn * alive)
            kernel.assign(kernel.numpy() * mask.numpy())

    def _masks(self, scores: list[NDArray[Any]], sparsity: float) -> list[NDArray[np.float32]]:
        if self._scope == "layer":
            return [magnitude_mask(score, sparsity) for score in scores]
        whole = magnitude_mask(np.concatenate([score.ravel() for score in scores]), sparsity)
        pieces = np.split(whole, np.cumsum([score.size for score in scores])[:-1])
        return [piece.reshape(score.shape) for piece, score in zip(pieces, scores, strict=True)]


def _masked(
    mask: keras.Variable,
    former: Callable[[Any], Any] | None,
    groups: NDArray[np.int32] | None,
) -> Callable[[Any], Any]:
    def constrained(kernel: Any) -> Any:
        kernel = former(kernel) if former else kernel
        return kernel * mask if groups is None else joined(kernel, mask, groups)

    return constrained
