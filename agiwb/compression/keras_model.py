"""The Keras model at hand, rebuilt without its optimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def rebuild(model: keras.Model) -> keras.Model:
    """Return an uncompiled copy of ``model`` with weights of its own.

    ``keras.models.clone_model`` would keep it compiled, and a compiled model's file carries the
    optimiser's slots, some three times the weights.
    """
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy
