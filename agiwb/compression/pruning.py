"""Magnitude pruning: the smallest weights of each kernel become zero while the rest fine-tunes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Split
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras

RAMP_SHARE = 0.75
"""Share of the fine-tuning in which the sparsity grows; in the rest the survivors recover."""

RAISES_PER_RAMP = 40
"""How often the masks are drawn anew: enough for a smooth ramp, too few to cost time."""

_ROUNDING = 1e-6
"""Of a weight: 0.29 * 100 is 28.999999999999996, and means 29."""


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
) -> keras.Model:
    """Return a pruned copy of ``model``, uncompiled, fine-tuned with Adam on ``examples``.

    Each kernel of a Dense or Conv2D layer, the output layer's too, has exactly
    ``floor(sparsity * size)`` zeros. Biases and batch normalisation are never masked; they train
    on, and so adapt to the sparser kernels. Without epochs the model is pruned in one shot.

    Args:
        model: The trained model; it is left as it is.
        examples: The training split.
        sparsity: Share of each kernel's weights to set to zero, 0 to 1.
        tuning: How to fine-tune.
        progress: Told after each batch how many of all batches are done.

    Raises:
        WorkError: There is no kernel to prune, or the loss became NaN or infinite.
    """
    import keras

    from agiwb.compression.keras_model import rebuild
    from agiwb.training.objectives import compile_classifier

    keras.utils.set_random_seed(tuning.seed)
    pruned = rebuild(model)
    masks = Masks(prunable_kernels(pruned))
    compile_classifier(pruned, "adam", tuning.learning_rate)
    batches = tuning.epochs * math.ceil(len(examples) / tuning.batch_size)
    _fit(pruned, examples, tuning, _Schedule(masks, sparsity, batches, progress))
    masks.tighten(sparsity)
    if not all(np.isfinite(weights).all() for weights in pruned.get_weights()):
        raise WorkError(
            "The fine-tuning of the pruned model diverged: a weight is NaN or infinite.",
            f"Try a smaller `learning_rate` than {tuning.learning_rate:g}.",
        )
    return rebuild(pruned)


def polynomial_sparsity(done: int, ramp: int, final: float) -> float:
    """Return the sparsity after ``done`` batches of a ramp from 0 to ``final``.

    Zhu & Gupta 2017 (arXiv:1710.01878), eq. 1, with initial sparsity and initial step 0 and
    ``ramp`` for n * delta t: fast while weights are plenty, slower as they become scarce.
    """
    share = min(1.0, done / ramp) if ramp else 1.0
    return final * (1 - (1 - share) ** 3)


def magnitude_mask(kernel: NDArray[Any], sparsity: float) -> NDArray[np.float32]:
    """Return 0 for the ``floor(sparsity * size)`` weights nearest to zero and 1 for the others.

    Of weights that are equally small any may be the ones to go; their number is always exact.
    """
    count = math.floor(sparsity * kernel.size + _ROUNDING)
    mask = np.ones(kernel.size, np.float32)
    if count:
        mask[np.argpartition(np.abs(kernel).ravel(), count - 1)[:count]] = 0
    return mask.reshape(kernel.shape)


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


class Masks:
    """One mask for each kernel, enforced by the optimiser after each batch.

    The mask is the kernel's constraint: Keras applies it inside the compiled training step, so
    what is pruned stays zero without a copy between Python and TensorFlow.
    """

    def __init__(self, kernels: list[keras.Variable]) -> None:
        import keras

        self._pairs = []
        for kernel in kernels:
            mask = keras.Variable(np.ones(kernel.shape, np.float32), trainable=False)
            kernel.constraint = _masked(mask, kernel.constraint)
            self._pairs.append((kernel, mask))

    def tighten(self, sparsity: float) -> None:
        """Draw the masks for ``sparsity`` and apply them; zeros, being smallest, stay zeros."""
        for kernel, mask in self._pairs:
            values = kernel.numpy()
            mask.assign(magnitude_mask(values, sparsity))
            kernel.assign(values * mask.numpy())


@dataclass
class _Schedule:
    """Tightens ``masks`` along the polynomial schedule as batches are done."""

    masks: Masks
    sparsity: float
    batches: int
    progress: Callable[[int, int], None]
    done: int = 0

    def after_batch(self, batch: int, logs: Any = None) -> None:
        self.done += 1
        ramp = max(1, math.floor(self.batches * RAMP_SHARE))
        pause = max(1, ramp // RAISES_PER_RAMP)
        if self.done <= ramp and (self.done % pause == 0 or self.done == ramp):
            self.masks.tighten(polynomial_sparsity(self.done, ramp, self.sparsity))
        self.progress(self.done, self.batches)


def _fit(model: keras.Model, examples: Split, tuning: FineTuning, schedule: _Schedule) -> None:
    import keras

    after_batch = keras.callbacks.LambdaCallback(on_train_batch_end=schedule.after_batch)
    model.fit(
        examples.features,
        examples.labels,
        epochs=tuning.epochs,
        batch_size=tuning.batch_size,
        callbacks=[after_batch, keras.callbacks.TerminateOnNaN()],
        verbose=0,
    )


def _masked(mask: keras.Variable, former: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    return lambda kernel: (former(kernel) if former else kernel) * mask


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _all_layers(layer)
        else:
            yield layer
