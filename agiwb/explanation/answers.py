"""A loaded model as functions: of raw examples, and of what a path leads through."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.explanation.integrated_gradients import PathFunction
from agiwb.tensorflow_quietly import import_tensorflow
from agiwb.training.pipeline import model_inputs

if TYPE_CHECKING:
    import keras

AnswerFunction = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Gives the answers to raw features: ``(examples, outputs)``."""

_BATCH = 1024


def answer_function(model: keras.Model) -> AnswerFunction:
    """Return what asks ``model`` about raw features, as ``Split.features`` has them."""
    tf = import_tensorflow()
    traced = tf.function(
        lambda inputs: model(inputs, training=False), reduce_retracing=True, autograph=False
    )

    def answer(features: NDArray[Any]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(features), _BATCH):
            inputs = model_inputs(features[start : start + _BATCH])
            parts.append(traced(tf.nest.map_structure(tf.convert_to_tensor, inputs)).numpy())
        return np.concatenate(parts)

    return answer


def path_function(
    answer: Callable[[Any, Any], Any], targets: NDArray[np.intp], shape: tuple[int, ...]
) -> PathFunction:
    """Return one output of ``answer`` for each point, and its gradient there.

    Args:
        answer: Gives the outputs, ``(rows, outputs)``, for points and the examples they are of.
        targets: The output that is explained, for each example.
        shape: Of a point.
    """
    tf = import_tensorflow()

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec((None, *shape), tf.float32),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None,), tf.int64),
        ],
        autograph=False,
    )
    def traced(points: Any, examples: Any, outputs: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(points)
            # Each answer depends on its own point alone, so the sum has all their gradients.
            values = tf.gather(answer(points, examples), outputs, batch_dims=1)
        return values, tape.gradient(values, points, unconnected_gradients="zero")

    def evaluate(
        points: NDArray[np.float32], examples: NDArray[np.intp]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        values, gradients = traced(points, examples.astype(np.int64), targets[examples])
        return values.numpy(), gradients.numpy()

    return evaluate
