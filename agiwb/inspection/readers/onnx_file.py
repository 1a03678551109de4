"""ONNX files, by their protobuf."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agiwb.artifacts.manifest import QuantizedTensor
from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.inspection.contents import Contents, Operation, Weight, counted, linked

_OWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_SUFFIX = "_quantized"
"""ONNX Runtime's quantizer names integers ``w_quantized``, beside ``w_scale``, ``w_zero_point``."""


def read(path: Path) -> Contents:
    """Return what is in the file; weights in files beside it are read too."""
    import onnx

    model = onnx.load(path)
    graph = model.graph
    if not graph.node and not graph.output:
        raise InputError(f"The file {path} holds no graph.", "It would be an ONNX model.")
    stored = {tensor.name for tensor in graph.initializer}
    graphs = list(_graphs(graph))
    tensors = _tensors(graphs)
    operations = [
        Operation(name, node.op_type, tuple(node.input), tuple(node.output))
        for name, node in _named(graph)
    ]
    readers: dict[str, tuple[str, str]] = {}
    for each in graphs:
        for name, node in _named(each):
            for tensor in node.input:
                readers.setdefault(tensor, (name, node.op_type))
    every = [node for each in graphs for node in each.node]
    quantization = _quantization(every, tensors)
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    return Contents(
        signature=Signature(
            inputs=tuple(_spec(entry) for entry in graph.input if entry.name not in stored),
            outputs=tuple(_spec(entry) for entry in graph.output),
        ),
        nodes=linked(operations),
        weights=[
            _weight(name, tensor, readers.get(name, (name, "")), quantization.get(name))
            for name, tensor in tensors.items()
        ],
        operators=counted(node.op_type for node in every),
        custom_operators=tuple(
            sorted({f"{node.domain}.{node.op_type}" for node in every
                    if node.domain not in _OWN_DOMAINS})
        ),
        details={
            "ir version": str(model.ir_version),
            "opset": ", ".join(f"{domain} {version}" for domain, version in opsets.items()),
            "producer": f"{model.producer_name} {model.producer_version}".strip(),
            **{entry.key: entry.value for entry in model.metadata_props},
        },
    )  # fmt: skip


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph, and the graphs inside its nodes: branches and loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _graphs(inner)


def _named(graph: Any) -> Iterator[tuple[str, Any]]:
    for index, node in enumerate(graph.node):
        yield node.name or f"{node.op_type}_{index}", node


def _tensors(graphs: list[Any]) -> dict[str, Any]:
    """Return what the graphs hold by name; branches may call different tensors the same."""
    found: dict[str, Any] = {}
    for place, graph in enumerate(graphs):
        held = [(tensor.name, tensor) for tensor in graph.initializer]
        held += [
            (node.output[0], node.attribute[0].t)
            for node in graph.node
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t")
        ]
        for name, tensor in held:
            found[f"{graph.name or 'graph'}_{place}/{name}" if name in found else name] = tensor
    return found


def _spec(entry: Any) -> TensorSpec:
    kind = entry.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim)
    return TensorSpec(name=entry.name, dtype=_dtype(kind.elem_type), shape=shape)


def _dtype(number: int) -> str:
    import onnx

    name = str(onnx.TensorProto.DataType.Name(number)).lower()
    return {"float": "float32", "double": "float64", "string": "object"}.get(name, name)


def _weight(
    name: str, tensor: Any, reader: tuple[str, str], quantization: QuantizedTensor | None
) -> Weight:
    from onnx import numpy_helper

    values = np.asarray(numpy_helper.to_array(tensor))
    dtype = _dtype(tensor.data_type)
    size = len(tensor.raw_data) or values.nbytes
    if "int4" in dtype and not tensor.raw_data:
        size = (values.size + 1) // 2
    return Weight(name, *reader, dtype, tuple(tensor.dims), size, values, quantization)


def _quantization(nodes: Any, tensors: dict[str, Any]) -> dict[str, QuantizedTensor]:
    """Return how each integer tensor maps to real values, where the file says so."""
    found = {}
    for node in nodes:
        if node.op_type == "DequantizeLinear" and node.input[0] in tensors:
            axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1)
            found[node.input[0]] = _parameters(tensors, *node.input[:3], axis=axis)
    for name, tensor in tensors.items():
        base = name.removesuffix(_SUFFIX)
        if base != name and name not in found and f"{base}_scale" in tensors:
            axis = max(len(tensor.dims) - 1, 0)  # a matrix' columns
            found[name] = _parameters(
                tensors, name, f"{base}_scale", f"{base}_zero_point", axis=axis
            )
    return {name: one for name, one in found.items() if one is not None}


def _parameters(
    tensors: dict[str, Any], name: str, scale: str, zero_point: str = "", *, axis: int
) -> QuantizedTensor | None:
    from onnx import numpy_helper

    if scale not in tensors:
        return None
    scales = numpy_helper.to_array(tensors[scale]).ravel()
    zeros = numpy_helper.to_array(tensors[zero_point]).ravel() if zero_point in tensors else [0]
    dims = tuple(tensors[name].dims)
    axis %= max(len(dims), 1)
    if len(scales) > 1 and (not dims or dims[axis] != len(scales)):
        return None  # in blocks, which this does not describe
    return QuantizedTensor(
        name=name,
        dtype=_dtype(tensors[name].data_type),
        scales=tuple(float(scale) for scale in scales),
        zero_points=tuple(int(zero) for zero in zeros),
        axis=axis if len(scales) > 1 else None,
    )
