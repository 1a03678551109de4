"""Loading Keras models from their files."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.datasets.dataset import CLASSIFYING, Dataset
from agiwb.errors import ConfigError, InputError, NotFoundError
from agiwb.settings import Settings
from agiwb.tensorflow_quietly import import_tensorflow

if TYPE_CHECKING:
    import keras

_OWN = ("keras", "builtins")
"""Packages that a saved model may name: their code is there whenever it is loaded."""
_LARGE_BYTES = 64 * 2**20
"""Of an archive, from which on Keras' copy of it in memory costs more than one on the disk."""


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

    if own := Settings().custom_objects:
        import_custom_objects(own)
    try:
        with _unpacked(path) as place:
            model = keras.models.load_model(place, compile=False, safe_mode=True)
    except Exception as error:
        # A damaged file fails anywhere between the archive and the last layer, in any way.
        raise _unloadable(path, " ".join(str(error).split())) from error
    return model


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """Yield a folder of a large archive's files, from which Keras reads one weight at a time.

    Of an archive it reads all weights into memory first. A small one, one that is compressed (what
    it unpacks to is for Keras to check), and one for which the disk has no room are yielded as
    they are.
    """
    with tempfile.TemporaryDirectory(prefix="agiwb-model-") as folder:
        yield Path(folder) if _unpack(path, folder) else path


def _unpack(path: Path, folder: str) -> bool:
    """Return whether the archive is large and plain, and was unpacked into ``folder``."""
    if path.suffix != ".keras" or path.stat().st_size < _LARGE_BYTES:
        return False
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            return False
        try:
            archive.extractall(folder)  # which keeps every name inside the folder
        except OSError:
            return False
    return True


def import_custom_objects(module: str) -> None:
    """Import the user's own module, whose classes register themselves with Keras.

    Raises:
        InputError: It cannot be imported.
    """
    try:
        importlib.import_module(module)
    except Exception as error:
        raise InputError(
            f"The module {module} of custom objects cannot be imported: "
            f"{type(error).__name__}: {error}",
            "Put its folder on PYTHONPATH, and check that `python -c 'import ...'` works.",
        ) from error


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
    if not admits(taken, data.feature_shape) or given != (len(data.classes),):
        raise ConfigError(
            f"`dataset` {data.name} does not fit the model {path}: examples have shape "
            f"{data.feature_shape} and the model takes {taken}; there are {len(data.classes)} "
            f"classes and the model gives outputs of shape {given}.",
            "Give the data set that the model was trained on.",
        )
    return model


def load_model_for(path: Path, data: Dataset, *, judged: bool = True) -> keras.Model:
    """Return the model of a file, sure to take the examples of ``data``.

    Columns go by their names, which the model's inputs must have; a text or an array goes into the
    only input.

    Args:
        path: Of the file.
        data: What the model is asked about.
        judged: Whether it is to do the data's task; otherwise it may answer anything.

    Raises:
        NotFoundError: The file holds no model that can be loaded.
        InputError: The model has several inputs or outputs, and the data are arrays of classes.
        ConfigError: It takes other examples, or knows another number of classes.
    """
    if judged and data.task in CLASSIFYING and data.features_are_numbers:
        return load_classifier(path, data)
    model = load_keras_model(path)
    inputs = getattr(model, "inputs", None) or []
    given = data.columns or ("features",)
    names = {tensor.name for tensor in inputs}
    fits = bool(names) and (names <= set(given) if data.columns else len(names) == 1)
    if data.kind == "text":
        fits = fits and inputs[0].dtype == "string"
    elif not data.columns and fits:
        fits = admits(tuple(inputs[0].shape[1:]), data.feature_shape)
    if not fits:
        raise ConfigError(
            f"`dataset` {data.name} does not fit the model {path}: it has "
            f"{', '.join(given) if data.columns else data.kind}, and the model takes "
            f"{', '.join(sorted(names)) or 'no named inputs'}.",
            "Give the data set that the model was trained on.",
        )
    return model


def foreign_part(model: keras.Model) -> str | None:
    """Return a part of ``model`` that ``load_keras_model`` could not load, or None.

    A file names its layers, operations and functions; the code of those that are not Keras' own is
    not there when it is loaded, and a Lambda's is not run.
    """
    import keras

    try:
        with warnings.catch_warnings(action="ignore"):  # of a lambda, which we report
            return _foreign(keras.saving.serialize_keras_object(model))
    except (NotImplementedError, TypeError, ValueError) as error:  # no usable get_config
        return f"a part that cannot be saved ({' '.join(str(error).split())})"


def _foreign(config: Any) -> str | None:
    """Return the first foreign part in a model's serialised config, however deep."""
    if isinstance(config, list | tuple):
        return next(filter(None, map(_foreign, config)), None)
    if not isinstance(config, dict):
        return None
    kind = config.get("class_name")
    if kind in {"Lambda", "__lambda__"} or config.keys() == {"value"}:  # of an activation
        return "a lambda"
    if kind == "function":
        return f"the function {config.get('config')!r}"
    if "module" in config and "registered_name" in config:
        package = str(config["module"]).partition(".")[0]  # None for what users register
        if package not in _OWN and not str(config["registered_name"]).startswith("agiwb>"):
            return f"a {kind}"
    return _foreign(list(config.values()))


def admits(taken: tuple[int | None, ...], shape: tuple[int | None, ...]) -> bool:
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
