"""Loading Keras models from their files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.datasets.dataset import Dataset
from agiwb.errors import ConfigError, InputError, NotFoundError
from agiwb.tensorflow_quietly import import_tensorflow

if TYPE_CHECKING:
    import keras


def load_keras_model(path: Path) -> keras.Model:
    """Return the model of a ``.keras`` or ``.h5`` file, without its optimiser.

    Code inside the file (a Lambda layer) is never run.

    Raises:
        NotFoundError: The file holds no model that can be loaded.
    """
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):  # Keras says "file not found"
        raise _unloadable(path, "it is not the zip archive that it should be.")
    import_tensorflow()
    import keras

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        # A damaged file fails anywhere between the archive and the last layer, in any way.
        raise _unloadable(path, " ".join(str(error).split())) from error
    return model


def load_classifier(path: Path, data: Dataset) -> keras.Model:
    """Return the model of a file, sure to take the examples of ``data`` and to know its classes.

    Raises:
        NotFoundError: The file holds no model that can be loaded.
        InputError: The model has several inputs or outputs.
        ConfigError: It takes other examples, or knows another number of classes.
    """
    model = load_keras_model(path)
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(
            f"The model {path} has {len(inputs)} inputs and {len(outputs)} outputs.",
            "Give a model with one input and one output.",
        )
    taken, given = tuple(inputs[0].shape[1:]), tuple(outputs[0].shape[1:])
    if not _admits(taken, data.feature_shape) or given != (len(data.classes),):
        raise ConfigError(
            f"`dataset` {data.name} does not fit the model {path}: examples have shape "
            f"{data.feature_shape} and the model takes {taken}; there are {len(data.classes)} "
            f"classes and the model gives outputs of shape {given}.",
            "Give the data set that the model was trained on.",
        )
    return model


def _admits(taken: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    """Return whether a model that takes ``taken``, None being any size, takes ``shape``."""
    return len(taken) == len(shape) and all(
        size in (None, actual) for size, actual in zip(taken, shape, strict=True)
    )


def _unloadable(path: Path, reason: str) -> NotFoundError:
    return NotFoundError(
        f"The file {path} cannot be loaded as a Keras model: {reason}",
        "Save it again with `model.save`, from layers that Keras knows: agiwb runs no code that "
        "a model file brings along.",
    )
