"""A model whose recurrent layers are written out step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

MOST_STEPS = 1000
"""Each step is some ten operators in the file."""


def unrolled(model: keras.Model) -> keras.Model | None:
    """Return a copy whose recurrent layers have no loop, or None if none has to be changed.

    It computes the same. Layers over sequences of a free or very great length stay as they are.
    """
    import keras

    changed = False

    def copied(layer: Any) -> Any:
        nonlocal changed
        config = layer.get_config()
        if isinstance(layer, keras.Model):
            return _copy(layer, copied)
        if isinstance(layer, keras.layers.Bidirectional) and _has_length(layer):
            for side in ("layer", "backward_layer"):
                if side in config and "unroll" in config[side]["config"]:
                    config[side]["config"]["unroll"] = changed = True
        elif isinstance(layer, keras.layers.RNN) and not layer.unroll and _has_length(layer):
            config["unroll"] = changed = True
        return type(layer).from_config(config)

    copy = _copy(model, copied)
    if not changed:
        return None
    copy.set_weights(model.get_weights())
    return copy


def _copy(model: keras.Model, copied: Any) -> keras.Model:
    import keras

    return keras.models.clone_model(model, clone_function=copied)


def _has_length(layer: Any) -> bool:
    shape = layer.input.shape
    return len(shape) > 1 and shape[1] is not None and shape[1] <= MOST_STEPS
