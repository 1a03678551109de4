"""TensorFlow's graphs by their protobuf, which TensorBoard has too: SavedModels and frozen graphs.

TensorFlow itself is not imported, so nothing of a graph can run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature, TensorSpec, main_signature
from agiwb.errors import InputError
from agiwb.inspection.contents import Contents, Operation, Weight, counted, linked
from agiwb.inspection.readers.checkpoint import Checkpoint
from agiwb.inspection.readers.protobuf_fields import fields

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_META_GRAPH_FIELD = 2
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


def read_saved_model(path: Path) -> Contents:
    """Return what is in the SavedModel whose ``saved_model.pb`` is ``path``."""
    from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

    graphs = [content for number, content in fields(path.read_bytes())
              if number == _META_GRAPH_FIELD]  # fmt: skip
    if not graphs or not isinstance(graphs[0], bytes):
        raise InputError(f"The file {path} holds no graph.", "It would be a SavedModel's.")
    meta = MetaGraphDef.FromString(graphs[0])
    functions = {one.signature.name: one for one in meta.graph_def.library.function}
    name = main_signature(meta.signature_def)
    signature = None if name is None else meta.signature_def[name]
    called = _called(signature, meta.graph_def, functions)
    bodies = [list(functions[name].node_def) for name in called]
    every = [node for body in (bodies or [list(meta.graph_def.node)]) for node in body]
    body = max(bodies, key=len, default=list(meta.graph_def.node))
    info = meta.meta_info_def
    weights, state = _variables(path.parent / "variables" / "variables")
    return Contents(
        signature=_signature(signature),
        nodes=linked(_operations(body)),
        weights=weights,
        operators=counted(node.op for node in every if node.op not in _CALLS),
        custom_operators=(),
        details={
            "tensorflow version": info.tensorflow_version,
            "tags": ", ".join(info.tags),
            "signatures": ", ".join(sorted(meta.signature_def)),
            "functions": str(len(functions)),
            "optimizer's state": f"{state} bytes" if state else "",
        },
    )


def read_frozen(path: Path) -> Contents:
    """Return what is in a frozen graph; its weights are the constants of more than one number."""
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    graph = GraphDef.FromString(path.read_bytes())
    if not graph.node:
        raise InputError(f"The file {path} holds no graph.", "It would be a frozen GraphDef.")
    nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
    readers = _readers(nodes)
    weights = []
    for node in nodes:
        values = _constant(node.attr["value"].tensor) if node.op == "Const" else None
        if values is not None and values.size > 1:
            layer, operator = readers.get(node.name, (node.name, "Const"))
            dtype = _dtype(node.attr["dtype"].type)
            shape, size = values.shape, values.nbytes
            weights.append(Weight(node.name, layer, operator, dtype, shape, size, values))
    taken = {_node(name) for node in graph.node for name in node.input}
    ends = [node for node in graph.node if node.name not in taken and node.op != "NoOp"]
    starts = [node for node in graph.node if node.op == "Placeholder"]
    return Contents(
        signature=Signature(
            inputs=tuple(_placeholder(node) for node in starts),
            # Without noted shapes, only running the graph would tell an output's.
            outputs=tuple(_placeholder(node) for node in ends if "_output_shapes" in node.attr),
        ),
        nodes=linked(_operations(nodes)),
        weights=weights,
        operators=counted(node.op for node in nodes),
        details={"producer": str(graph.versions.producer)},
    )


def _called(signature: Any, graph: Any, functions: dict[str, Any]) -> list[str]:
    """Return the functions that the signature's outputs need, each once."""
    if signature is None:
        return []
    nodes = {node.name: node for node in graph.node}
    waiting = [nodes[_node(one.name)] for one in signature.outputs.values()
               if _node(one.name) in nodes]  # fmt: skip
    called: dict[str, None] = {}
    while waiting:
        node = waiting.pop()
        for attribute in node.attr.values():
            names = [attribute.func.name, *(one.name for one in attribute.list.func)]
            for name in names:
                if name in functions and name not in called:
                    called[name] = None
                    waiting += functions[name].node_def
    return list(called)


def _node(tensor: str) -> str:
    """Return the node whose result ``tensor`` names, as ``node:0``, ``node:out:0`` or ``^node``."""
    return tensor.lstrip("^").partition(":")[0]


def _operations(nodes: Iterable[Any]) -> Iterator[Operation]:
    """Yield the operators on data: neither constants nor what reads variables is drawn."""
    passing: dict[str, str] = {}
    for node in nodes:
        data = [_node(name) for name in node.input if not name.startswith("^")]
        if node.op in {"Const", "ReadVariableOp", "NoOp"}:
            continue
        if node.op == "Identity" and data:
            passing[node.name] = passing.get(data[0], data[0])
            continue
        inputs = tuple(passing.get(name, name) for name in data)
        yield Operation(node.name, node.op, inputs, (node.name,))


def _readers(nodes: Iterable[Any]) -> dict[str, tuple[str, str]]:
    """Return for each constant who reads it, through any Identity between."""
    readers: dict[str, tuple[str, str]] = {}
    passed: list[tuple[str, str]] = []
    for node in nodes:
        for name in map(_node, node.input):
            if node.op == "Identity":
                passed.append((name, node.name))
            else:
                readers.setdefault(name, (node.name, node.op))
    for name, through in reversed(passed):
        if name not in readers and through in readers:
            readers[name] = readers[through]
    return readers


def _dtype(number: int) -> str:
    from tensorboard.compat.proto.types_pb2 import DataType

    name = str(DataType.Name(number)).removeprefix("DT_").removesuffix("_REF").lower()
    known = {"float": "float32", "double": "float64", "half": "float16", "string": "object"}
    return known.get(name, name)


def _numpy_dtype(name: str) -> np.dtype[Any] | None:
    import ml_dtypes  # noqa: F401  gives NumPy bfloat16 and its like

    try:
        dtype = np.dtype(name)
    except TypeError:
        return None
    return None if dtype.kind == "O" else dtype


def _shape(shape: Any) -> tuple[int | None, ...]:
    return tuple(None if one.size < 0 else int(one.size) for one in shape.dim)


def _signature(signature: Any) -> Signature:
    if signature is None:
        return Signature(inputs=(), outputs=())
    sides = [
        tuple(
            TensorSpec(name=name, dtype=_dtype(side[name].dtype),
                       shape=_shape(side[name].tensor_shape))
            for name in sorted(side)
        )
        for side in (signature.inputs, signature.outputs)
    ]  # fmt: skip
    return Signature(inputs=sides[0], outputs=sides[1])


def _placeholder(node: Any) -> TensorSpec:
    dtype = node.attr["dtype"].type or node.attr["T"].type
    stated = node.attr["shape"].shape
    shapes = node.attr["_output_shapes"].list.shape
    shape = _shape(shapes[0] if shapes else stated)
    return TensorSpec(name=node.name, dtype=_dtype(dtype), shape=shape)


def _constant(tensor: Any) -> NDArray[Any] | None:
    """Return a constant's numbers: as bytes, or as a list whose last one may stand for many."""
    dtype = _numpy_dtype(_dtype(tensor.dtype))
    shape = tuple(one.size for one in tensor.tensor_shape.dim)
    if dtype is None:
        return None
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    lists = (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val,
             tensor.bool_val, tensor.uint32_val, tensor.uint64_val)  # fmt: skip
    given = next((list(one) for one in lists if len(one)), None)
    if given is None:
        return None
    count = int(np.prod(shape))
    return np.array([*given, *[given[-1]] * (count - len(given))], dtype).reshape(shape)


def _variables(prefix: Path) -> tuple[list[Weight], int]:
    """Return the variables by the names they had, and the bytes of an optimizer's own.

    One that two keys name is there only once.
    """
    if not prefix.with_name(f"{prefix.name}.index").is_file():
        return [], 0
    checkpoint = Checkpoint(prefix)
    names, slots = _variable_names(checkpoint)
    found: dict[tuple[str, bytes], Weight] = {}
    for key, full_name in names.items():
        content = checkpoint.content(key)
        if (full_name, content) in found or key in slots:
            continue
        entry = checkpoint.entries[key]
        dtype = _dtype(entry.dtype)
        known = _numpy_dtype(dtype)
        values = None if known is None else np.frombuffer(content, known).reshape(entry.shape)
        layer = full_name.rpartition("/")[0] or full_name
        found[full_name, content] = Weight(
            full_name, layer, "", dtype, entry.shape, entry.size_bytes, values
        )
    return list(found.values()), sum(checkpoint.entries[key].size_bytes for key in slots)


def _variable_names(checkpoint: Checkpoint) -> tuple[dict[str, str], set[str]]:
    """Return the variables' full names by their keys, and the keys of an optimizer's slots."""
    from tensorboard.compat.proto.trackable_object_graph_pb2 import TrackableObjectGraph

    keys = [key for key in checkpoint.entries if key != _OBJECT_GRAPH]
    names: dict[str, str] = {}
    slots: set[str] = set()
    if _OBJECT_GRAPH in checkpoint.entries:
        graph = TrackableObjectGraph.FromString(checkpoint.text(_OBJECT_GRAPH))
        of_optimizers = {
            slot.slot_variable_node_id for node in graph.nodes for slot in node.slot_variables
        }
        for number, node in enumerate(graph.nodes):
            for attribute in node.attributes:
                names[attribute.checkpoint_key] = attribute.full_name
                if number in of_optimizers:
                    slots.add(attribute.checkpoint_key)
    return {key: names.get(key) or key for key in keys}, slots & set(keys)
