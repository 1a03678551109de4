"""Calling a layer with other values in place of some of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def call_with(
    layer: keras.layers.Layer,
    substitutes: Sequence[tuple[keras.Variable, Any]],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Return ``layer(*args, **kwargs)`` computed with each substitute in its variable's place.

    Gradients flow into the substitutes. What the call itself updates, such as moving averages and
    the states of random generators, is updated as ever.

    Args:
        layer: Any layer or model.
        substitutes: Variables of the layer, each with a tensor of its shape.
        args: Passed on to the layer.
        kwargs: Passed on to the layer.
    """
    import keras

    replaced = {id(variable) for variable, _ in substitutes}
    with keras.StatelessScope(state_mapping=substitutes) as scope:
        outputs = layer(*args, **kwargs)
    for variable in layer.non_trainable_variables:
        value = scope.get_current_value(variable)
        if value is not None and id(variable) not in replaced:
            variable.assign(value)
    return outputs
