"""Running a Keras file: ``.keras`` or ``.h5``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import NotFoundError
from agiwb.models.loading import load_keras_model
from agiwb.runtimes.checking import numpy_name, run_in_order
from agiwb.runtimes.runtime import Tensors
from agiwb.tensorflow_quietly import import_tensorflow

if TYPE_CHECKING:
    import keras


class KerasRuntime:
    """A Keras model behind one traced function; see Runtime for the contract.

    Names are the file's own: those of its input and output layers. ``threads`` has no effect,
    because TensorFlow keeps one pool of threads for the whole process.
    """

    def __init__(self, path: Path, threads: int = 1, model: keras.Model | None = None) -> None:
        """Load the file, unless ``model`` is what is in it."""
        tf = import_tensorflow()
        import keras

        model = load_keras_model(path) if model is None else model
        self._signature = model_signature(model, path)
        expected = [
            tf.TensorSpec(tensor.shape, tensor.dtype, spec.name)
            for spec, tensor in zip(self._signature.inputs, model.inputs, strict=True)
        ]
        structure = getattr(model, "input", None)
        packed = structure if isinstance(structure, (list, tuple, dict)) else None

        def answer(*tensors: Any) -> list[Any]:
            given = (
                tensors[0] if packed is None else keras.tree.pack_sequence_as(packed, list(tensors))
            )
            return list(keras.tree.flatten(model(given, training=False)))

        self.model = model  # the traced function holds its variables by weak reference only
        traced = tf.function(answer, input_signature=expected, autograph=False)
        self._answer = traced.get_concrete_function()

    @property
    def signature(self) -> Signature:
        return self._signature

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        return run_in_order(self._answer, self._signature, inputs)


def model_signature(model: keras.Model, path: Path) -> Signature:
    """Return the names, dtypes and shapes of a Keras model's inputs and outputs.

    Raises:
        NotFoundError: The model, read from ``path``, does not say what goes in.
    """
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise NotFoundError(
            f"The model in {path} does not say what goes in.",
            "Build it with `keras.Input` before saving it.",
        )
    # A Sequential model does not name its output: its last layer does.
    names = getattr(model, "output_names", None) or [model.layers[-1].name]
    return Signature(
        inputs=tuple(_spec(tensor.name, tensor) for tensor in inputs),
        outputs=tuple(
            _spec(name, tensor) for name, tensor in zip(names, model.outputs, strict=True)
        ),
    )


def _spec(name: str, tensor: Any) -> TensorSpec:
    return TensorSpec(name=name, dtype=numpy_name(tensor.dtype), shape=tuple(tensor.shape))
