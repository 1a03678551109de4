"""The training that lets a changed model get used to the change.

Whatever changed it, the model is trained here, and keeps what earlier stages bought: a kernel's
zeros stay zeros, and weights that share a value go on sharing one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.datasets.dataset import Split
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class FineTuning:
    """How the weights that are left get used to the loss of the others."""

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int

    def batches(self, examples: Split) -> int:
        """Return how many batches of ``examples`` there are in all epochs together."""
        return self.epochs * math.ceil(len(examples) / self.batch_size)


@dataclass
class BatchCount:
    """Counts the batches as they are done."""

    batches: int
    progress: Callable[[int, int], None]
    done: int = field(default=0, init=False)

    def after_batch(self, batch: int, logs: Any = None) -> None:
        self.done += 1
        self.progress(self.done, self.batches)


def train(model: keras.Model, examples: Split, tuning: FineTuning, count: BatchCount) -> None:
    """Train all trainable weights of ``model`` in place, with Adam; without epochs not at all.

    Args:
        model: A classifier that answers with probabilities; it is compiled afterwards.
        examples: The training split.
        tuning: How to train; its seed is for the caller to set.
        count: Told after each batch.

    Raises:
        WorkError: A weight became NaN or infinite.
    """
    import keras

    from agiwb.training.objectives import compile_classifier
    from agiwb.training.single_trace import make_variables

    if not tuning.epochs:
        return
    compile_classifier(model, "adam", tuning.learning_rate)
    make_variables(model, examples.features[:1], examples.labels[:1])
    model.fit(
        examples.features,
        examples.labels,
        epochs=tuning.epochs,
        batch_size=tuning.batch_size,
        callbacks=[
            keras.callbacks.LambdaCallback(on_train_batch_end=count.after_batch),
            keras.callbacks.TerminateOnNaN(),
        ],
        verbose=0,
    )
    require_finite(model, tuning.learning_rate)


def fine_tune(
    model: keras.Model,
    examples: Split,
    tuning: FineTuning,
    progress: Callable[[int, int], None],
) -> keras.Model:
    """Return a copy of ``model``, uncompiled, trained on with Adam on ``examples``.

    Of each kernel the zeros stay zeros, and weights that share a value go on sharing one.

    Raises:
        WorkError: A weight became NaN or infinite.
    """
    import keras

    from agiwb.compression.keras_model import rebuild
    from agiwb.compression.techniques.tied_weights import tied_as_found, untie

    keras.utils.set_random_seed(tuning.seed)
    trainee = tied_as_found(rebuild(model))
    train(trainee, examples, tuning, BatchCount(tuning.batches(examples), progress))
    return rebuild(untie(trainee))


def require_finite(model: keras.Model, learning_rate: float) -> None:
    """Raise WorkError if training with ``learning_rate`` made a weight NaN or infinite."""
    if not all(np.isfinite(variable.numpy()).all() for variable in model.weights):
        raise WorkError(
            "The training of the compressed model diverged: a weight is NaN or infinite.",
            f"Try a smaller `learning_rate` than {learning_rate:g}.",
        )
