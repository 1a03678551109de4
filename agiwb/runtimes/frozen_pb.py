"""Running a frozen TensorFlow graph: one ``.pb`` whose variables are constants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import NotFoundError
from agiwb.runtimes.checking import numpy_name, run_in_order
from agiwb.runtimes.runtime import Tensors
from agiwb.tensorflow_quietly import import_tensorflow


class FrozenGraphRuntime:
    """A frozen graph; see Runtime for the contract.

    A frozen graph has no signature of its own: its placeholders are taken as the inputs, and the
    operations whose result nothing uses as the outputs, both by the name of the operation.
    ``threads`` has no effect, because TensorFlow keeps one pool of threads for the whole process.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        imported = import_graph(path)
        operations = imported.graph.get_operations()
        inputs = [op for op in operations if op.type == "Placeholder"]
        waited_for = {before for op in operations for before in op.control_inputs}
        outputs = [op for op in operations if _is_result(op) and op not in waited_for]
        if not inputs or not outputs:
            raise NotFoundError(
                f"The frozen graph {path} has {len(inputs)} inputs and {len(outputs)} outputs.",
                "It needs at least one `Placeholder`, and a result.",
            )
        self._signature = Signature(inputs=_specs(inputs), outputs=_specs(outputs))
        self._answer = imported.prune(
            [op.outputs[0] for op in inputs], [op.outputs[0] for op in outputs]
        )

    @property
    def signature(self) -> Signature:
        return self._signature

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        return run_in_order(self._answer, self._signature, inputs)


def import_graph(path: Path) -> Any:
    """Return a function that holds the graph in ``path``; raise NotFoundError if it is none."""
    tf = import_tensorflow()
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(path.read_bytes())
        return tf.compat.v1.wrap_function(
            lambda: tf.compat.v1.import_graph_def(definition, name=""), []
        )
    except Exception as error:
        # Not a protobuf, an unknown operation, an edge to nowhere: each has its own class.
        raise NotFoundError(
            f"The file {path} cannot be loaded as a frozen graph: {' '.join(str(error).split())}",
            "Freeze the model again.",
        ) from error


def _is_result(operation: Any) -> bool:
    if operation.type in ("Const", "Placeholder") or not operation.outputs:
        return False
    return not any(tensor.consumers() for tensor in operation.outputs)


def _specs(operations: list[Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name=op.name, dtype=numpy_name(op.outputs[0].dtype.name), shape=_shape(op))
        for op in operations
    )


def _shape(operation: Any) -> tuple[int | None, ...]:
    shape = operation.outputs[0].shape
    if shape.rank is None:
        raise NotFoundError(
            f"The frozen graph does not say how many dimensions {operation.name} has.",
            "Freeze the model with the shapes of its inputs.",
        )
    return tuple(shape)
