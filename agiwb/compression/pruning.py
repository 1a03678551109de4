"""Magnitude pruning: the smallest weights of each kernel become zero while the rest fine-tunes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.compression.masks import Choice, Masks, magnitude_mask
from agiwb.datasets.dataset import Split
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras

__all__ = [
    "BatchCount", "Choice", "FineTuning", "Masks", "fine_tune", "magnitude_mask",
    "measured_sparsity", "polynomial_sparsity", "prunable_kernels", "prune", "require_finite",
]  # fmt: skip

RAMP_SHARE = 0.75
"""Share of the fine-tuning in which the sparsity grows; in the rest the survivors recover."""

RAISES_PER_RAMP = 40
"""How often the masks are drawn anew: enough for a smooth ramp, too few to cost time."""


@dataclass(frozen=True)
class FineTuning:
    """How the weights that are left get used to the loss of the others."""

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int


def prune(
    model: keras.Model,
    examples: Split,
    sparsity: float,
    tuning: FineTuning,
    progress: Callable[[int, int], None],
    choice: Choice = Choice(),  # noqa: B008  immutable
) -> keras.Model:
    """Return a pruned copy of ``model``, uncompiled, fine-tuned with Adam on ``examples``.

    Each kernel of a Dense or Conv2D layer, the output layer's too, has exactly
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
    from agiwb.training.objectives import compile_classifier

    keras.utils.set_random_seed(tuning.seed)
    pruned = rebuild(model)
    kernels = prunable_kernels(pruned)
    masks = Masks(kernels, choice)
    Masks(_other_kernels(pruned, kernels))
    compile_classifier(pruned, "adam", tuning.learning_rate)
    batches = tuning.epochs * math.ceil(len(examples) / tuning.batch_size)
    if choice.schedule == "constant":
        masks.tighten(sparsity)
        _fit(pruned, examples, tuning, BatchCount(batches, progress))
    else:
        _fit(pruned, examples, tuning, _Schedule(batches, progress, masks, sparsity))
    masks.tighten(sparsity)
    require_finite(pruned, tuning.learning_rate)
    return rebuild(pruned)


def fine_tune(
    model: keras.Model,
    examples: Split,
    tuning: FineTuning,
    progress: Callable[[int, int], None],
) -> keras.Model:
    """Return a copy of ``model``, uncompiled, trained on with Adam on ``examples``.

    Of each kernel the zeros stay zeros, and weights that share a value go on sharing one.

    Raises:
        WorkError: The loss became NaN or infinite.
    """
    import keras

    from agiwb.compression.keras_model import rebuild
    from agiwb.training.objectives import compile_classifier

    keras.utils.set_random_seed(tuning.seed)
    tuned = rebuild(model)
    Masks(_other_kernels(tuned, []))
    compile_classifier(tuned, "adam", tuning.learning_rate)
    batches = tuning.epochs * math.ceil(len(examples) / tuning.batch_size)
    _fit(tuned, examples, tuning, BatchCount(batches, progress))
    require_finite(tuned, tuning.learning_rate)
    return rebuild(tuned)


def polynomial_sparsity(done: int, ramp: int, final: float) -> float:
    """Return the sparsity after ``done`` batches of a ramp from 0 to ``final``.

    Zhu & Gupta 2017 (arXiv:1710.01878), eq. 1, with initial sparsity and initial step 0 and
    ``ramp`` for n * delta t: fast while weights are plenty, slower as they become scarce.
    """
    share = min(1.0, done / ramp) if ramp else 1.0
    return final * (1 - (1 - share) ** 3)


def prunable_kernels(model: keras.Model) -> list[keras.Variable]:
    """Return the kernels of all Dense and Conv2D layers, those of nested models too.

    Raises:
        WorkError: There is none.
    """
    import keras

    kinds = (keras.layers.Dense, keras.layers.Conv2D)
    kernels = [layer.kernel for layer in _all_layers(model) if isinstance(layer, kinds)]
    if not kernels:
        raise WorkError(f"The model {model.name} has no Dense or Conv2D layer to prune.")
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
class BatchCount:
    """Counts the batches as they are done."""

    batches: int
    progress: Callable[[int, int], None]
    done: int = field(default=0, init=False)

    def after_batch(self, batch: int, logs: Any = None) -> None:
        self.done += 1
        self.progress(self.done, self.batches)


@dataclass
class _Schedule(BatchCount):
    """Tightens ``masks`` along the polynomial schedule as batches are done."""

    masks: Masks
    sparsity: float

    def after_batch(self, batch: int, logs: Any = None) -> None:
        done = self.done + 1
        ramp = max(1, math.floor(self.batches * RAMP_SHARE))
        pause = max(1, ramp // RAISES_PER_RAMP)
        if done <= ramp and (done % pause == 0 or done == ramp):
            self.masks.tighten(polynomial_sparsity(done, ramp, self.sparsity))
        super().after_batch(batch, logs)


def _fit(model: keras.Model, examples: Split, tuning: FineTuning, progress: BatchCount) -> None:
    import keras

    if not tuning.epochs:  # pruned in one shot
        return
    after_batch = keras.callbacks.LambdaCallback(on_train_batch_end=progress.after_batch)
    model.fit(
        examples.features,
        examples.labels,
        epochs=tuning.epochs,
        batch_size=tuning.batch_size,
        callbacks=[after_batch, keras.callbacks.TerminateOnNaN()],
        verbose=0,
    )


def require_finite(model: keras.Model, learning_rate: float) -> None:
    """Raise WorkError if training with ``learning_rate`` made a weight NaN or infinite."""
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise WorkError(
            "The training of the compressed model diverged: a weight is NaN or infinite.",
            f"Try a smaller `learning_rate` than {learning_rate:g}.",
        )


def _other_kernels(model: keras.Model, but: list[keras.Variable]) -> list[keras.Variable]:
    """Return all trainable weights that are matrices or more, without those in ``but``."""
    others = {id(kernel) for kernel in but}
    kernels = [weight for weight in model.trainable_weights if id(weight) not in others]
    return [weight for weight in kernels if len(weight.shape) > 1 and weight.numpy().any()]


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _all_layers(layer)
        else:
            yield layer
