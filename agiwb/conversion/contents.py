"""What is in a model's file: its operators, and what is quantized."""

from __future__ import annotations

import mmap
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.artifacts.manifest import MODEL_FILES, Format, QuantizedTensor
from agiwb.inspection.readers.protobuf_fields import fields

if TYPE_CHECKING:
    import keras
    import onnx

_ONNX_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
_GRAPH, _OPSET, _NODE = 7, 8, 1
"""Fields of ONNX' ModelProto, ModelProto and GraphProto."""
_CUSTOM, _FLEX = 32, "Flex"
"""LiteRT's code of an operator that is not built in, and how those of TensorFlow begin."""


@dataclass(frozen=True)
class Contents:
    """What a model's file holds; the fields are those of ``agiwb.artifacts.manifest.Artifact``."""

    operators: dict[str, int]
    opset: int | None = None
    custom_ops: tuple[str, ...] = ()
    flex_ops: tuple[str, ...] = ()
    quantization: tuple[QuantizedTensor, ...] = ()


def read_contents(kind: Format, folder: Path, model: keras.Model | None = None) -> Contents:
    """Return what is in the model file of an artifact's folder.

    Args:
        kind: The artifact's format.
        folder: Where its file lies; nothing in it is run.
        model: The Keras model itself, for Keras' own formats: they are not read again.
    """
    path = folder / MODEL_FILES[kind]
    if path.name == MODEL_FILES["onnx"]:
        return _of_onnx(path)
    if path.name == MODEL_FILES["litert"]:
        return _of_litert(_mapped(path))
    if kind == "saved_model":
        return Contents(_counted(_saved_model_operators(path)))
    if kind == "frozen_pb":
        from tensorflow.core.framework.graph_pb2 import GraphDef

        return Contents(_counted(node.op for node in GraphDef.FromString(path.read_bytes()).node))
    if kind == "openvino":
        return Contents(_counted(_openvino_operators(path)))
    return Contents(_counted(_layer_classes(model) if model is not None else ()))


def _layer_classes(model: keras.Model) -> Iterable[str]:
    """Yield the class of each layer and operation, however deep in nested models."""
    import keras

    for operation in getattr(model, "operations", None) or model.layers:
        if isinstance(operation, keras.Model):
            yield from _layer_classes(operation)
        else:
            yield type(operation).__name__


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _of_onnx(path: Path) -> Contents:
    import onnx

    nodes: list[onnx.NodeProto] = []
    opset = None
    for field, content in fields(memoryview(_mapped(path))):  # its weights are passed over
        if isinstance(content, int):
            continue
        if field == _GRAPH:
            parts = (part for number, part in fields(content) if number == _NODE)
            nodes += (onnx.NodeProto.FromString(bytes(part)) for part in parts)
        elif field == _OPSET:
            entry = onnx.OperatorSetIdProto.FromString(bytes(content))
            opset = opset if entry.domain else entry.version
    every = [inner for node in nodes for inner in _with_inner(node)]
    custom = {node.op_type for node in every if node.domain not in _ONNX_DOMAINS}
    return Contents(
        _counted(node.op_type for node in every), opset, custom_ops=tuple(sorted(custom))
    )


def _mapped(path: Path) -> mmap.mmap:
    """Return a file's content, of which only what is looked at is in memory."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def all_nodes(graph: onnx.GraphProto) -> Iterable[onnx.NodeProto]:
    """Yield the nodes of a graph and of the graphs within its loops and branches."""
    for node in graph.node:
        yield from _with_inner(node)


def _with_inner(node: onnx.NodeProto) -> Iterable[onnx.NodeProto]:
    yield node
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield from all_nodes(attribute.g)


def _of_litert(content: mmap.mmap) -> Contents:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    builtin = {
        code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
    }
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    names = []
    for code in codes:
        # Files from before 2020 have the code in a field of 8 bits.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        names.append(code.CustomCode().decode() if number == _CUSTOM else builtin[number])
    used: list[str] = []
    quantized: dict[str, QuantizedTensor] = {}
    types = {
        code: name.lower()
        for name, code in vars(schema.TensorType).items()
        if isinstance(code, int)
    }
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        used += [names[graph.Operators(i).OpcodeIndex()] for i in range(graph.OperatorsLength())]
        for tensor in (graph.Tensors(index) for index in range(graph.TensorsLength())):
            if (found := _quantized(tensor, types)) is not None:
                quantized.setdefault(found.name, found)
    built_in = set(builtin.values())
    custom = {name for name in used if name not in built_in}
    flex = {name for name in custom if name.startswith(_FLEX)}
    return Contents(
        _counted(used),
        custom_ops=tuple(sorted(custom - flex)),
        flex_ops=tuple(sorted(flex)),
        quantization=tuple(quantized.values()),
    )


def _quantized(tensor: Any, types: dict[int, str]) -> QuantizedTensor | None:
    quantization = tensor.Quantization()
    if quantization is None or not quantization.ScaleLength():
        return None
    scales = tuple(map(float, quantization.ScaleAsNumpy()))
    return QuantizedTensor(
        name=tensor.Name().decode(),
        dtype=types[tensor.Type()],
        scales=scales,
        zero_points=tuple(map(int, quantization.ZeroPointAsNumpy())),
        axis=quantization.QuantizedDimension() if len(scales) > 1 else None,
    )


def _saved_model_operators(path: Path) -> Iterable[str]:
    """Yield the operators of the graph and of its functions."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    graph = SavedModel.FromString(path.read_bytes()).meta_graphs[0].graph_def
    yield from (node.op for node in graph.node)
    for function in graph.library.function:
        yield from (node.op for node in function.node_def)


def _openvino_operators(path: Path) -> Iterable[str]:
    return re.findall(r'<layer [^>]*\btype="(\w+)"', path.read_text("utf-8"))
