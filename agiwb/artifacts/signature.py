"""A model's signature: the names, types and shapes of what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

INPUT_NAME = "features"
OUTPUT_NAME = "probabilities"
"""What every model that agiwb writes calls its input and its output."""

SIGNATURE_NAME = "serving_default"
"""The signature that TensorFlow Serving calls when the client names none."""


_INTERNAL = "__saved_model_"
"""How TensorFlow begins the names of signatures that are not for clients."""


def main_signature(names: Iterable[str]) -> str | None:
    """Return the signature of a SavedModel that answers: ``serving_default``, else the first.

    They have no order of their own: the first is by the alphabet. None if there is none.
    """
    known = sorted(name for name in names if not name.startswith(_INTERNAL))
    return SIGNATURE_NAME if SIGNATURE_NAME in known else next(iter(known), None)


class TensorSpec(BaseModel):
    """One named tensor. ``dtype`` is NumPy's name; ``None`` in ``shape`` is a free dimension.

    NumPy has no fixed name of strings: arrays of them are of ``object``, and shown as "string".
    """

    model_config = ConfigDict(frozen=True)

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        dtype = "string" if self.dtype == "object" else self.dtype
        return f"{self.name}: {dtype} ({sizes})"


class Signature(BaseModel):
    """The inputs and outputs of a model, in order."""

    model_config = ConfigDict(frozen=True)

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
