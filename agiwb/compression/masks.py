"""Masks: which weights are zero, held by the optimiser while the others train."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

    from agiwb.compression.techniques.tied_weights import Tie

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
    from the start stay so. A kernel that is tied to a codebook is masked in its indices instead.
    """

    def __init__(
        self,
        kernels: Sequence[keras.Variable],
        choice: Choice = Choice(),
        ties: Sequence[Tie] = (),
    ) -> None:
        import keras

        tied = {id(tie.variable): tie for tie in ties}
        random = np.random.default_rng(choice.seed)
        self._scope = choice.scope
        self._kernels = list(kernels)
        self._ties = [tied.get(id(kernel)) for kernel in kernels]
        self._alive = [(kernel.numpy() != 0).astype(np.float32) for kernel in kernels]
        self._masks = [keras.Variable(alive, trainable=False) for alive in self._alive]
        for kernel, mask in zip(self._kernels, self._masks, strict=True):
            kernel.constraint = masked(mask, kernel.constraint)
        drawn = choice.criterion == "random"
        # Above zero, so that what is zero already is among what goes.
        self._ranks = [1 + random.random(kernel.shape) if drawn else None for kernel in kernels]

    def tighten(self, sparsity: float) -> None:
        """Draw the masks for ``sparsity`` and apply them; zeros, being smallest, stay zeros."""
        for tied in filter(None, self._ties):
            tied.write()
        weights = [kernel.numpy() for kernel in self._kernels]
        scores = [
            np.abs(values) if rank is None else rank * (values != 0)
            for values, rank in zip(weights, self._ranks, strict=True)
        ]
        drawn = [
            mask * alive
            for mask, alive in zip(self._drawn(scores, sparsity), self._alive, strict=True)
        ]
        for kernel, mask, tie, new in zip(
            self._kernels, self._masks, self._ties, drawn, strict=True
        ):
            mask.assign(new)
            kernel.assign(kernel.numpy() * new)
            if tie is not None:
                tie.keep(new)

    def _drawn(self, scores: list[NDArray[Any]], sparsity: float) -> list[NDArray[np.float32]]:
        if self._scope == "layer":
            return [magnitude_mask(score, sparsity) for score in scores]
        whole = magnitude_mask(np.concatenate([score.ravel() for score in scores]), sparsity)
        pieces = np.split(whole, np.cumsum([score.size for score in scores])[:-1])
        return [piece.reshape(score.shape) for piece, score in zip(pieces, scores, strict=True)]


def masked(mask: Any, former: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """Return the constraint that multiplies by ``mask`` what the constraint ``former`` leaves."""
    return lambda kernel: (former(kernel) if former else kernel) * mask
