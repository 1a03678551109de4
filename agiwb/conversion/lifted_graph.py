"""A SavedModel's graph without its large weights, which are inputs of the graph instead.

Converters copy a graph many times over, with every constant in it. What they are to make of a
matrix that is multiplied or looked up in depends on its shape alone: they are given that, and the
values are put into their result, one at a time.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.conversion.exported import signature_in
from agiwb.conversion.saved_weights import SavedWeights
from agiwb.tensorflow_quietly import import_tensorflow

_LEAST_BYTES = 1 << 16
"""Smaller weights stay constants: converters fold them into one another."""
_READERS = frozenset(
    {"MatMul", "BatchMatMul", "BatchMatMulV2", "Einsum", "GatherV2", "ResourceGather"}
)
"""Operators whose translation does not look at the values. That of a convolution does: it is folded
with the normalization that follows it."""
_PASSING_ON = frozenset(
    {"ReadVariableOp", "Identity", "Reshape", "Transpose", "ExpandDims", "Squeeze", "Cast"}
)


@dataclass(frozen=True)
class LiftedGraph:
    """A frozen graph as tf2onnx takes it, and where the weights are that it leaves out.

    Attributes:
        definition: TensorFlow's GraphDef.
        inputs: Tensors that go in, without the weights.
        outputs: Tensors that come out.
        names: What the signature calls these inputs and outputs.
        tables: Keys and values of the tables that strings are looked up in.
        weights: Tensors that are weights, each with what reads its values from the disk.
    """

    definition: Any
    inputs: list[str]
    outputs: list[str]
    names: dict[str, str]
    tables: dict[bytes, tuple[NDArray[Any], NDArray[Any]]]
    weights: dict[str, Callable[[], NDArray[Any]]]


def lifted_graph(folder: Path) -> LiftedGraph:
    """Return the main signature of a SavedModel with its large weights as inputs.

    Raises:
        InputError: The SavedModel has no such signature.
    """
    tf = import_tensorflow()
    from tf2onnx.tf_loader import from_trackable

    name = signature_in(folder)
    with tf.device("/cpu:0"):
        saved = SavedWeights(folder)
        function = saved.loaded.signatures[name]
        captured = {tensor.name for tensor in function.graph.internal_captures}
        inputs = [tensor.name for tensor in function.inputs if tensor.name not in captured]
        outputs = [tensor.name for tensor in function.outputs]
        taken = tf.nest.flatten(function.structured_input_signature)
        names = dict(zip(inputs, (spec.name for spec in taken), strict=True))
        names |= zip(outputs, sorted(function.structured_outputs), strict=True)
        weights: dict[str, Callable[[], NDArray[Any]]] = {}

        def freeze(function: Any, *_: Any) -> Any:
            definition, lifted = _frozen(function, saved)
            weights.update(lifted)
            return _folded(definition, [*inputs, *lifted], outputs)

        # It takes the tables out before it freezes the function, and puts them in again.
        with _freezing_by(freeze):
            definition, tables = from_trackable(
                saved.loaded, function, inputs, outputs, large_model=False
            )
    return LiftedGraph(definition, inputs, outputs, names, tables, weights)


@contextlib.contextmanager
def _freezing_by(freeze: Callable[..., Any]) -> Iterator[None]:
    """Have tf2onnx call ``freeze`` where it would freeze a function itself."""
    from tf2onnx import tf_loader

    its_own, tf_loader.from_function = tf_loader.from_function, freeze
    try:
        yield
    finally:
        tf_loader.from_function = its_own


def _frozen(
    function: Any, saved: SavedWeights
) -> tuple[Any, dict[str, Callable[[], NDArray[Any]]]]:
    """Return the function's graph with its variables as constants, or as inputs that are told."""
    from tensorflow.python.framework import convert_to_constants as freezing

    lifted: dict[str, Any] = {}

    class Variables(freezing._FunctionConverterDataInEager):  # type: ignore[misc]  # noqa: SLF001
        """What TensorFlow freezes; a single zero stands in for what is lifted."""

        def _build_tensor_data(self) -> None:
            self._readers = _readers(self.graph_def)
            self._names = {
                id(outside): inside.op.name for outside, inside in self._func.graph.captures
            }
            super()._build_tensor_data()

        def _eval(self, tensor: Any) -> NDArray[Any]:
            if not hasattr(tensor, "handle"):
                return np.asarray(tensor.numpy())
            name, dtype = self._names[id(tensor.handle)], np.dtype(tensor.dtype.as_numpy_dtype)
            if tensor.shape.num_elements() * dtype.itemsize < _LEAST_BYTES:
                return saved.read(tensor)
            if not _is_only_read(name, self._readers):
                return saved.read(tensor)
            lifted[name] = tensor
            return np.zeros((), dtype)

    data = Variables(func=function, lower_control_flow=False, aggressive_inlining=True)
    definition, _ = freezing._replace_variables_by_constants(data)  # noqa: SLF001
    for node in definition.node:
        if (variable := lifted.get(node.name)) is not None:
            node.CopyFrom(_placeholder(node.name, variable))
    return definition, {f"{name}:0": _reader(saved, each) for name, each in lifted.items()}


def _placeholder(name: str, variable: Any) -> Any:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    node = NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].type = variable.dtype.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(variable.shape.as_proto())
    return node


def _reader(saved: SavedWeights, variable: Any) -> Callable[[], NDArray[Any]]:
    return lambda: saved.read(variable)


def _readers(definition: Any) -> dict[str, list[Any]]:
    """Return the nodes of a graph by the nodes that they read."""
    readers = defaultdict(list)
    for node in definition.node:
        for tensor in node.input:
            if not tensor.startswith("^"):  # that one only waits
                readers[tensor.partition(":")[0]].append(node)
    return readers


def _is_only_read(name: str, readers: Mapping[str, list[Any]]) -> bool:
    """Return whether a tensor goes nowhere but into operators that do not look at its values."""
    return all(
        node.op in _READERS or (node.op in _PASSING_ON and _is_only_read(node.name, readers))
        for node in readers.get(name, ())
    )


def _folded(definition: Any, inputs: list[str], outputs: list[str]) -> Any:
    """Return the graph as TensorFlow's own optimizer leaves it: what is constant is computed."""
    tf = import_tensorflow()
    from tf2onnx.tf_loader import fix_freezing_errors_part2, tf_optimize

    with tf.Graph().as_default() as graph:
        tf.import_graph_def(fix_freezing_errors_part2(definition), name="")
        shaped = graph.as_graph_def(add_shapes=True)
    with tf.Graph().as_default():
        tf.import_graph_def(shaped, name="")
        return tf_optimize(inputs, outputs, shaped)
