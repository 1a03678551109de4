"""A SavedModel with all its signatures, of TensorFlow 2 or 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import InputError, NotFoundError
from agiwb.runtimes.checking import first_sentence
from agiwb.runtimes.runtime import Tensors
from agiwb.runtimes.served_signature import PREDICT_METHOD, ServedSignature
from agiwb.tensorflow_quietly import import_tensorflow

_INTERNAL = "__saved_model_"
"""How TensorFlow begins the names of signatures that are not for clients."""
_NUMPY_NAMES = {"string": "object", "bfloat16": "float32"}
"""What clients send and get for TensorFlow's types that NumPy does not have."""

Answer = Callable[[str, Tensors, Sequence[str]], Mapping[str, Any]]

_PLACES = (
    "Graph execution error",
    "Detected at node",
    "<stack",
    "Stack trace",
    "File ",
    "[[{{",
    "During handling",
)
"""How the lines begin that tell where in the graph something went wrong."""


class SavedModelFunctions:
    """The signatures of a SavedModel; see Functions for the contract.

    A free rank has no place in a signature: such a tensor is told as of one free dimension, and
    any other is taken as well, as shapes are not judged here.
    """

    checks_shapes = False

    def __init__(self, definitions: Mapping[str, Any], answer: Answer) -> None:
        """Keep ``answer``, which runs a signature of those in ``definitions``."""
        self.signatures: Mapping[str, ServedSignature] = {
            name: ServedSignature(_signature(definition), definition.method_name or PREDICT_METHOD)
            for name, definition in sorted(definitions.items())
        }
        self._answer = answer
        errors = import_tensorflow().errors
        self._refusals = (
            errors.InvalidArgumentError,
            errors.FailedPreconditionError,
            errors.NotFoundError,
            errors.OutOfRangeError,
            errors.UnimplementedError,
            TypeError,
            ValueError,
        )

    def run(self, signature_name: str, inputs: Tensors, outputs: list[str]) -> Tensors:
        """Return the wanted outputs; raises InputError if the graph refuses the batch."""
        try:
            answers = self._answer(signature_name, inputs, outputs)
        except self._refusals as error:
            message = getattr(error, "message", None) or str(error)
            raise InputError(
                f"The model refuses this batch: {first_sentence(Exception(_reason(message)))}",
                "Give values and shapes like those it was trained on.",
            ) from error
        return {name: _plain(answers[name]) for name in outputs}


def _reason(message: str) -> str:
    """Return the line of TensorFlow's message that says what is wrong, not where in the graph."""
    lines = (line.strip() for line in message.splitlines())
    telling = (line for line in lines if line and not line.startswith(_PLACES))
    return next(telling, message)


def load_saved_model(folder: Path, threads: int) -> SavedModelFunctions:
    """Return the functions of the SavedModel in ``folder``.

    What ``tf.saved_model.load`` cannot wrap (graphs of TensorFlow 1 with reference variables, or
    with shapes that contradict each other) runs in a session.

    Raises:
        NotFoundError: It cannot be loaded, or has no signature.
    """
    tf = import_tensorflow()
    try:
        definitions = _definitions(folder)
        try:
            answer = _in_functions(tf.saved_model.load(str(folder)))
        except Exception:  # noqa: BLE001  of many classes; if it is the file, the session says so
            answer = _in_session(folder, definitions, threads)
    except Exception as error:
        # A damaged protobuf, a missing variable file or an unknown op: each has its own class.
        raise NotFoundError(
            f"The folder {folder} cannot be loaded as a SavedModel: {' '.join(str(error).split())}",
            "Export the model again.",
        ) from error
    if not definitions:
        raise NotFoundError(
            f"The SavedModel {folder} has no signature.",
            "Export it with `model.export`, which makes one.",
        )
    return SavedModelFunctions(definitions, answer)


def _definitions(folder: Path) -> dict[str, Any]:
    """Return the signature definitions of the graph that is for serving."""
    from tensorflow.core.protobuf import saved_model_pb2

    content = saved_model_pb2.SavedModel()
    content.ParseFromString((folder / "saved_model.pb").read_bytes())
    for graph in content.meta_graphs:
        if "serve" in graph.meta_info_def.tags:
            return {
                name: definition
                for name, definition in graph.signature_def.items()
                if not name.startswith(_INTERNAL)
            }
    return {}


def _in_functions(loaded: Any) -> Answer:
    tf = import_tensorflow()
    # The functions hold the variables by weak reference only: keep the whole.
    functions = {
        name: (function, _dtypes(function)) for name, function in loaded.signatures.items()
    }

    def answer(name: str, inputs: Tensors, outputs: Sequence[str], _kept: Any = loaded) -> Any:
        function, dtypes = functions[name]
        return function(
            **{alias: tf.constant(value, dtypes[alias]) for alias, value in inputs.items()}
        )

    return answer


def _dtypes(function: Any) -> dict[str, Any]:
    return {alias: spec.dtype for alias, spec in function.structured_input_signature[1].items()}


def _in_session(folder: Path, definitions: Mapping[str, Any], threads: int) -> Answer:
    tf = import_tensorflow()
    from tensorflow.core.protobuf import config_pb2

    pools = config_pb2.ConfigProto(
        intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads
    )
    graph = tf.Graph()
    with graph.as_default():
        session = tf.compat.v1.Session(graph=graph, config=pools)
        tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
    calls = {}
    for name, definition in definitions.items():
        # ``Session.run`` would judge the fed shapes, which TensorFlow Serving does not.
        wanted = config_pb2.CallableOptions(
            feed=[info.name for _, info in sorted(definition.inputs.items())],
            fetch=[info.name for _, info in sorted(definition.outputs.items())],
        )
        calls[name] = session._make_callable_from_options(wanted)  # noqa: SLF001  there is no other

    def answer(name: str, inputs: Tensors, outputs: Sequence[str]) -> Mapping[str, Any]:
        feeds = [inputs[alias] for alias in sorted(inputs)]
        return dict(zip(sorted(definitions[name].outputs), calls[name](*feeds), strict=True))

    return answer


def _signature(definition: Any) -> Signature:
    return Signature(inputs=_specs(definition.inputs), outputs=_specs(definition.outputs))


def _specs(tensors: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    return tuple(_spec(name, info) for name, info in sorted(tensors.items()))


def _spec(name: str, info: Any) -> TensorSpec:
    # A variable of TensorFlow 1 is told as a reference to a number.
    dtype = import_tensorflow().as_dtype(info.dtype).base_dtype.name
    shape: tuple[int | None, ...] = (None,)
    if not info.tensor_shape.unknown_rank:
        shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    return TensorSpec(name=name, dtype=_NUMPY_NAMES.get(dtype, dtype), shape=shape)


def _plain(answer: Any) -> Any:
    """Return an answer as an array of a type that NumPy has."""
    array = np.asarray(answer.numpy() if hasattr(answer, "numpy") else answer)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
