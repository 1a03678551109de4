"""The Keras model at hand: loaded, checked against its data, and rebuilt without its optimiser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.datasets.dataset import Dataset
from agiwb.errors import ConfigError, InputError

if TYPE_CHECKING:
    import keras


def load_classifier(path: Path, data: Dataset) -> keras.Model:
    """Return the uncompiled model stored at ``path``, sure to take and to answer ``data``.

    Raises:
        ConfigError: Its input or output does not fit the data set.
        InputError: The file is not a Keras model that can be loaded.
    """
    import keras

    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras passes on whatever zipfile, h5py and json raise
        cause = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"The file {path} cannot be loaded as a Keras model: {cause}",
            "Give a `.keras` file that `model.save` wrote.",
        ) from error
    _check_fit(model, data)
    return model


def rebuild(model: keras.Model) -> keras.Model:
    """Return an uncompiled copy of ``model`` with weights of its own.

    ``keras.models.clone_model`` would keep it compiled, and a compiled model's file carries the
    optimiser's slots, some three times the weights.
    """
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def _check_fit(model: keras.Model, data: Dataset) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ConfigError(
            f"The model {model.name} has {len(model.inputs)} inputs and {len(model.outputs)} "
            "outputs; a sweep needs one of each."
        )
    takes, answers = tuple(model.inputs[0].shape[1:]), tuple(model.outputs[0].shape[1:])
    if takes != data.feature_shape or answers != (len(data.classes),):
        raise ConfigError(
            f"The model {model.name} takes examples of shape {takes} and answers {answers}; "
            f"the data set {data.name} has {data.feature_shape} and {len(data.classes)} classes.",
            "Give the `dataset` it was trained on.",
        )
