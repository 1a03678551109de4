"""Making a training's variables before its first step, so that the step is traced once.

``tf.function`` traces a function a second time if the first call makes variables, and in Keras the
first train step makes those of the optimiser and of the metrics. A trace takes seconds where a step
takes milliseconds, so that short trainings consist of little else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agiwb.tensorflow_quietly import import_tensorflow

if TYPE_CHECKING:
    import keras


def make_variables(model: keras.Model, inputs: Any, targets: Any) -> None:
    """Make what ``model.fit`` would make in its first step; the weights come out bit for bit.

    Under a distribution strategy nothing is done: there Keras does the same by itself.

    Args:
        model: Compiled, with weights.
        inputs: One example or a few, as the model takes them.
        targets: Theirs, as its loss takes them.
    """
    if import_tensorflow().distribute.has_strategy():
        return
    model.optimizer.build(model.trainable_variables)
    model.compute_metrics(inputs, targets, model(inputs, training=False), None)
    model.reset_metrics()
