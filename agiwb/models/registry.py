"""What an ``architecture`` may be: a family, a builder of the user's own, or a saved model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator

from agiwb.artifacts.resolve import MODEL_FILE
from agiwb.datasets.dataset import Kind, Task
from agiwb.errors import ConfigError, did_you_mean
from agiwb.models.families import FAMILIES, Builder, Family, default_family, load_family
from agiwb.models.specification import ModelSpec
from agiwb.tensorflow_quietly import import_tensorflow

if TYPE_CHECKING:
    import keras

__all__ = [
    "AUTO", "FAMILIES", "Architecture", "Builder", "Family", "architecture_fingerprint",
    "architecture_reference", "build_model", "chosen_architecture", "default_family",
]  # fmt: skip

AUTO = "auto"
"""The family that is usual for the data; see ``default_family``."""

_SAVED = (".keras", ".h5")
_FILE_AND_FUNCTION = re.compile(r"(?P<file>.+\.py):(?P<function>[^\W\d]\w*)")
_MODULE_AND_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def architecture_reference(reference: str) -> str:
    """Return ``reference`` if it is auto, a family, a builder or a saved model; paths absolute.

    A builder is written ``package.module:function`` or ``file.py:function``. A saved model is a
    ``.keras`` or ``.h5`` file, or a folder with a ``model.keras`` in it. Whether a file exists is
    for ``build_model`` to say: a record keeps its reference when the file is gone, and means the
    same file from every folder.

    Raises:
        ConfigError: It is none of these.
    """
    if reference == AUTO or reference in FAMILIES:
        return reference
    if reference.endswith(_SAVED):
        return _absolute(reference)
    if match := _FILE_AND_FUNCTION.fullmatch(reference):
        return f"{_absolute(match['file'])}:{match['function']}"
    if _MODULE_AND_FUNCTION.fullmatch(reference):
        return reference
    if (Path(reference).expanduser() / MODEL_FILE).is_file():
        return _absolute(f"{reference}/{MODEL_FILE}")
    raise ConfigError(
        f"`architecture`: there is no model family {reference!r}.",
        f"{did_you_mean(reference, FAMILIES)} Or give a builder of yours as file.py:function or "
        "package.module:function, or the path of a .keras or .h5 file to start from.",
    )


Listed = Literal["auto", Family]

Architecture = Annotated[Listed | str, AfterValidator(architecture_reference)]
"""A config field that names a family, a builder or a saved model; others are refused at once."""


def chosen_architecture(reference: str, kind: Kind, task: Task) -> str:
    """Return ``reference``, or the family that ``auto`` stands for with such data."""
    return default_family(kind, task) if reference == AUTO else reference


def build_model(architecture: str, spec: ModelSpec) -> keras.Model:
    """Return the uncompiled model that ``architecture`` names, made for the data of ``spec``.

    It is untrained, unless it is a saved model: that one keeps its weights.

    Raises:
        ConfigError: The architecture does not fit the data, or the user's builder fails.
        NotFoundError: The saved model is not there or cannot be loaded.
    """
    reference = architecture_reference(chosen_architecture(architecture, spec.kind, spec.task))
    import_tensorflow()
    if reference in FAMILIES:
        return load_family(reference)(spec)
    from agiwb.models.builder import build_with
    from agiwb.models.suitability import starting_model

    if reference.endswith(_SAVED):
        return starting_model(Path(reference), spec)
    return build_with(reference, spec)


def architecture_fingerprint(reference: str) -> str | None:
    """Return the SHA-256 of the file that defines the architecture; None for agiwb's families.

    That file is a builder's own source file, not what it imports, or the saved model.

    Raises:
        ConfigError: The builder's file is not there.
        NotFoundError: The saved model's file is not there.
    """
    from agiwb.models.builder import source_file
    from agiwb.models.suitability import saved_file
    from agiwb.runs.files import sha256_of_file

    reference = architecture_reference(reference)
    if reference == AUTO or reference in FAMILIES:
        return None
    if reference.endswith(_SAVED):
        return sha256_of_file(saved_file(Path(reference)))
    return sha256_of_file(source_file(reference))


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())
