"""What a child process runs: every signature of a model, whatever loaded it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from agiwb.artifacts.manifest import Format
from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.errors import InputError
from agiwb.runtimes.runtime import Tensors
from agiwb.runtimes.served_signature import ServedSignature


class Functions(Protocol):
    """A loaded model with one function a signature.

    Thread safety: ``run`` may be called from any thread.

    Attributes:
        signatures: By name.
        checks_shapes: Whether the signatures' shapes are the model's own. A SavedModel's are only
            what its author wrote down: ``tf.saved_model`` and TensorFlow Serving run other shapes.
    """

    signatures: Mapping[str, ServedSignature]
    checks_shapes: bool

    def run(self, signature_name: str, inputs: Tensors, outputs: list[str]) -> Tensors:
        """Return ``outputs`` by name, for inputs of the signature's names and types.

        Raises:
            InputError: The model refuses the batch.
        """
        ...


class KerasFunctions:
    """A ``.keras`` file, loaded in safe mode, with one signature."""

    checks_shapes = True

    def __init__(self, path: Path) -> None:
        """Load the model; raises NotFoundError if it cannot be."""
        from agiwb.runtimes.keras import KerasRuntime

        self._runtime = KerasRuntime(path)
        self.signatures: Mapping[str, ServedSignature] = {
            SIGNATURE_NAME: ServedSignature(self._runtime.signature)
        }

    def run(self, signature_name: str, inputs: Tensors, outputs: list[str]) -> Tensors:
        """Return the wanted outputs."""
        answers = self._runtime.run(inputs)
        return {name: answers[name] for name in outputs}


def load_functions(kind: Format, path: Path, threads: int) -> Functions:
    """Return the functions of a model file; TensorFlow uses ``threads`` threads from now on.

    Raises:
        InputError: The format is not for a child process, or the model cannot be loaded.
    """
    if kind not in {"saved_model", "keras"}:
        raise InputError(
            f"The file {path} is not served: it is of the format `{kind}`.",
            "Convert it to ONNX, LiteRT or a SavedModel with `agiwb convert`.",
        )
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    if kind == "keras":
        return KerasFunctions(path)
    from agiwb.runtimes.saved_model_functions import load_saved_model

    return load_saved_model(path.parent, threads)
