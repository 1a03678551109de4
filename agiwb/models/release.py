"""Letting go of a model's weights while the model itself is still looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agiwb.native_memory import given_back_at_once

if TYPE_CHECKING:
    import keras


def release_weights(model: keras.Model) -> None:
    """Give the memory of a model's weights back to the system; its layers and shapes stay.

    Whatever asks the model afterwards gets TensorFlow's error that the shapes do not fit. To drop
    the model itself would not do: Keras, TensorFlow's functions and whoever called hold it too.
    """
    import keras
    import tensorflow as tf

    with given_back_at_once():
        for variable in model.variables:
            if isinstance(variable, keras.Variable):
                nothing = tf.zeros([0], variable.value.dtype)
                # Unlike a variable's own assign, this compares no shapes.
                tf.raw_ops.AssignVariableOp(resource=variable.value.handle, value=nothing)
