"""The training that lets a changed model get used to the change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.compression.techniques.technique import Bench
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras


def adapt(model: keras.Model, bench: Bench, what: str) -> None:
    """Train all trainable weights of ``model`` in place, with Adam, as ``bench.tuning`` says.

    Args:
        model: A classifier that answers with probabilities; it is compiled afterwards.
        bench: The training split and how to train on it.
        what: The model in words, for the error: "clustered model".

    Raises:
        WorkError: A weight became NaN or infinite.
    """
    import keras

    from agiwb.training.objectives import compile_classifier

    tuning, examples = bench.tuning, bench.training
    batches = tuning.epochs * math.ceil(len(examples) / tuning.batch_size)
    done = 0

    def report(batch: int, logs: Any = None) -> None:
        nonlocal done
        done += 1
        bench.progress(done, batches)

    compile_classifier(model, "adam", tuning.learning_rate)
    model.fit(
        examples.features,
        examples.labels,
        epochs=tuning.epochs,
        batch_size=tuning.batch_size,
        callbacks=[
            keras.callbacks.LambdaCallback(on_train_batch_end=report),
            keras.callbacks.TerminateOnNaN(),
        ],
        verbose=0,
    )
    if not all(np.isfinite(variable.numpy()).all() for variable in model.weights):
        raise WorkError(
            f"The fine-tuning of the {what} diverged: a weight is NaN or infinite.",
            f"Try a smaller `learning_rate` than {tuning.learning_rate:g}.",
        )
