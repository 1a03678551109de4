"""Running a SavedModel by its ``serving_default`` signature, or the one it has instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature, TensorSpec, main_signature
from agiwb.errors import NotFoundError
from agiwb.runtimes.checking import check_inputs, numpy_name
from agiwb.runtimes.runtime import Tensors
from agiwb.tensorflow_quietly import import_tensorflow


class SavedModelRuntime:
    """A SavedModel; see Runtime for the contract.

    ``path`` is the ``saved_model.pb`` in its folder. ``threads`` has no effect, because
    TensorFlow keeps one pool of threads for the whole process.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        # The signature's function holds the variables by weak reference only: keep the whole.
        self._loaded, name = _load(path.parent)
        self._answer = self._loaded.signatures[name]
        _, inputs = self._answer.structured_input_signature
        self._signature = Signature(
            inputs=_specs(inputs), outputs=_specs(self._answer.structured_outputs)
        )

    @property
    def signature(self) -> Signature:
        return self._signature

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        tf = import_tensorflow()
        tensors = check_inputs(self._signature, inputs)
        outputs = self._answer(**{name: tf.constant(value) for name, value in tensors.items()})
        return {name: output.numpy() for name, output in outputs.items()}


def _load(folder: Path) -> tuple[Any, str]:
    """Return the SavedModel in ``folder``, and its main signature's name.

    Raises:
        NotFoundError: It cannot be loaded, or has no signature.
    """
    tf = import_tensorflow()
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:
        # A damaged protobuf, a missing variable file or an unknown op: each has its own class.
        raise NotFoundError(
            f"The folder {folder} cannot be loaded as a SavedModel: {' '.join(str(error).split())}",
            "Export the model again.",
        ) from error
    name = main_signature(loaded.signatures)
    if name is None:
        raise NotFoundError(
            f"The SavedModel {folder} has no signature.",
            "Export it with `model.export`, which makes one.",
        )
    return loaded, name


def _specs(tensors: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name=name, dtype=numpy_name(tensor.dtype.name), shape=tuple(tensor.shape))
        for name, tensor in sorted(tensors.items())
    )
