"""Magnitude pruning: the smallest weights of each kernel become zero while the rest fine-tunes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.compression.fine_tuning import BatchCount, FineTuning, train
from agiwb.compression.masks import Choice, Masks, magnitude_mask
from agiwb.compression.techniques.kernels import kernels_of
from agiwb.datasets.dataset import Split
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras

__all__ = [
    "Choice", "FineTuning", "Masks", "magnitude_mask", "measured_sparsity",
    "polynomial_sparsity", "prunable_kernels", "prune", "ramp_batches",
]  # fmt: skip

RAMP_SHARE = 0.75
"""Share of the fine-tuning in which the sparsity grows; in the rest the survivors recover."""

RAISES_PER_RAMP = 40
"""How often the masks are drawn anew: enough for a smooth ramp, too few to cost time."""


def prune(
    model: keras.Model,
    examples: Split,
    sparsity: float,
    tuning: FineTuning,
    progress: Callable[[int, int], None],
    choice: Choice = Choice(),  # noqa: B008  immutable
) -> keras.Model:
    """Return a pruned copy of ``model``, uncompiled, fine-tuned with Adam on ``examples``.

    Each kernel of ``prunable_kernels``, the output layer's too, has exactly
    ``floor(sparsity * size)`` zeros, or as many as before if they were more; with a global choice
    all kernels together. Weights that shared a value go on sharing one. Biases and batch
    normalisation are never masked; they train on, and so adapt to the sparser kernels. Without
    epochs the model is pruned in one shot.

    Args:
        model: The trained model; it is left as it is.
        examples: The training split.
        sparsity: Share of each kernel's weights to set to zero, 0 to 1.
        tuning: How to fine-tune.
        progress: Told after each batch how many of all batches are done.
        choice: Which weights go, and when.

    Raises:
        WorkError: There is no kernel to prune, or the loss became NaN or infinite.
    """
    import keras

    from agiwb.compression.keras_model import rebuild
    from agiwb.compression.techniques.tied_weights import tied_as_found, untie

    keras.utils.set_random_seed(tuning.seed)
    pruned = rebuild(model)
    kernels = prunable_kernels(pruned)
    trainee = tied_as_found(pruned)
    masks = Masks(kernels, choice, getattr(trainee, "ties", ()))
    batches = tuning.batches(examples)
    if choice.schedule == "constant":
        masks.tighten(sparsity)
        train(trainee, examples, tuning, BatchCount(batches, progress))
    else:
        train(trainee, examples, tuning, _Schedule(batches, progress, masks, sparsity))
    masks.tighten(sparsity)
    return rebuild(untie(trainee))


def polynomial_sparsity(done: int, ramp: int, final: float) -> float:
    """Return the sparsity after ``done`` batches of a ramp from 0 to ``final``.

    Zhu & Gupta 2017 (arXiv:1710.01878), eq. 1, with initial sparsity and initial step 0 and
    ``ramp`` for n * delta t: fast while weights are plenty, slower as they become scarce.
    """
    share = min(1.0, done / ramp) if ramp else 1.0
    return final * (1 - (1 - share) ** 3)


def ramp_batches(batches: int) -> tuple[int, int]:
    """Return over how many of ``batches`` the sparsity grows, and every how many it does."""
    ramp = max(1, math.floor(batches * RAMP_SHARE))
    return ramp, max(1, ramp // RAISES_PER_RAMP)


def prunable_kernels(model: keras.Model) -> list[keras.Variable]:
    """Return the kernels that are pruned, those inside nested models, wrappers and cells too.

    All of ``kernels.KERNELS`` but depthwise ones, of which a channel has only a few weights.

    Raises:
        WorkError: There is none.
    """
    kernels = [kernel.variable for kernel in kernels_of(model) if not kernel.depthwise]
    if not kernels:
        raise WorkError(
            f"The model {model.name} has no layer with a kernel to prune.",
            "Dense, convolution, recurrent and embedding layers have one.",
        )
    return kernels


def measured_sparsity(model: keras.Model) -> float:
    """Return the share of zeros among the weights that pruning could remove, 0 to 1."""
    try:
        kernels = [kernel.numpy() for kernel in prunable_kernels(model)]
    except WorkError:
        return 0.0
    zeros = sum(kernel.size - np.count_nonzero(kernel) for kernel in kernels)
    return float(zeros / sum(kernel.size for kernel in kernels))


@dataclass
class _Schedule(BatchCount):
    """Tightens ``masks`` along the polynomial schedule as batches are done."""

    masks: Masks
    sparsity: float

    def after_batch(self, batch: int, logs: Any = None) -> None:
        done = self.done + 1
        ramp, pause = ramp_batches(self.batches)
        if done <= ramp and (done % pause == 0 or done == ramp):
            self.masks.tighten(polynomial_sparsity(done, ramp, self.sparsity))
        super().after_batch(batch, logs)
