"""LiteRT files, by their flatbuffer; neither the interpreter nor TensorFlow is needed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.manifest import QuantizedTensor
from agiwb.artifacts.signature import SIGNATURE_NAME, Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.inspection.contents import Contents, Operation, Weight, counted, linked

_IDENTIFIER = b"TFL3"
_HALF_BYTE = {"int4": np.int8, "uint4": np.uint8}


def read(path: Path) -> Contents:
    """Return what is in the file: the nodes of its main graph, and all else of its branches too."""
    from ai_edge_litert import schema_py_generated as schema

    data = path.read_bytes()
    if data[4:8] != _IDENTIFIER:
        raise InputError(f"The file {path} is not a LiteRT model.", "It would be a .tflite file.")
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    names = [_operator_name(code) for code in model.operatorCodes or []]
    graphs = model.subgraphs or []
    main = graphs[0]
    used = [names[one.opcodeIndex] for graph in graphs for one in graph.operators or []]
    return Contents(
        signature=_signature(model, main),
        nodes=linked(_operations(main, names)),
        weights=_weights(model, names, data),
        operators=counted(name.removeprefix("custom:") for name in used),
        custom_operators=tuple(
            sorted({name.removeprefix("custom:") for name in used if name.startswith("custom:")})
        ),
        details={
            "schema version": str(model.version),
            "description": _text(model.description),
            "subgraphs": str(len(graphs)),
        },
    )


def _operations(graph: Any, names: list[str]) -> list[Operation]:
    """Return a graph's operators, whose tensors are called by their numbers."""
    found = []
    for index, operator in enumerate(graph.operators or []):
        kind = names[operator.opcodeIndex].removeprefix("custom:")
        inputs = _words([tensor for tensor in _listed(operator.inputs) if tensor >= 0])
        found.append(Operation(f"{kind}_{index}", kind, inputs, _words(_listed(operator.outputs))))
    return found


def _listed(values: Any) -> list[Any]:
    """Return a vector as a list; the schema gives None for one that is not there."""
    return [] if values is None else list(values)


def _words(tensors: list[Any]) -> tuple[str, ...]:
    return tuple(str(int(tensor)) for tensor in tensors)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


@cache
def _names_of(enumeration: str) -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    values = vars(getattr(schema, enumeration))
    return {number: name for name, number in values.items() if isinstance(number, int)}


def _operator_name(code: Any) -> str:
    """Return the operator's name; the old field holds its number up to 126."""
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = _names_of("BuiltinOperator").get(number, f"BUILTIN_{number}")
    return f"custom:{_text(code.customCode)}" if name == "CUSTOM" else name


def _dtype(tensor: Any) -> str:
    name = _names_of("TensorType").get(tensor.type, str(tensor.type)).lower()
    return "object" if name == "string" else name


def _signature(model: Any, main: Any) -> Signature:
    """Return the ``serving_default`` signature, the only one, or the graph's own tensors."""
    signatures = {_text(one.signatureKey): one for one in model.signatureDefs or []}
    chosen = signatures.get(SIGNATURE_NAME) or next(iter(signatures.values()), None)
    sides: list[list[tuple[str | None, int]]]
    if chosen is None:
        sides = [[(None, index) for index in _listed(side)] for side in (main.inputs, main.outputs)]
        graph = main
    else:
        sides = [
            [(_text(entry.name), entry.tensorIndex) for entry in side or []]
            for side in (chosen.inputs, chosen.outputs)
        ]
        graph = model.subgraphs[chosen.subgraphIndex]
    specs = [[_spec(graph.tensors[index], name) for name, index in side] for side in sides]
    return Signature(inputs=tuple(specs[0]), outputs=tuple(specs[1]))


def _spec(tensor: Any, name: str | None) -> TensorSpec:
    sizes = _listed(tensor.shapeSignature) or _listed(tensor.shape)
    shape = tuple(None if size < 0 else int(size) for size in sizes)
    return TensorSpec(name=name or _text(tensor.name), dtype=_dtype(tensor), shape=shape)


def _weights(model: Any, names: list[str], data: bytes) -> list[Weight]:
    """Return the constants of every graph; a buffer that several tensors share is stored once."""
    weights, seen = [], set()
    for place, graph in enumerate(model.subgraphs):
        inside = f"{_text(graph.name) or 'subgraph'}_{place}/" if place else ""
        readers: dict[str, tuple[str, str]] = {}
        for one in _operations(graph, names):
            for taken in one.inputs:
                readers.setdefault(taken, (inside + one.name, one.operator))
        for index, tensor in enumerate(graph.tensors or []):
            content = _content(model.buffers[tensor.buffer], data)
            if not content or tensor.buffer in seen:
                continue
            seen.add(tensor.buffer)
            name = inside + _text(tensor.name)
            shape = tuple(int(size) for size in _listed(tensor.shape))
            weights.append(
                Weight(
                    name,
                    *readers.get(str(index), (name, "")),
                    _dtype(tensor),
                    shape,
                    len(content),
                    _values(content, tensor, shape),
                    _quantization(name, tensor),
                )
            )
    return weights


def _content(buffer: Any, data: bytes) -> bytes:
    """Return a buffer's bytes: inside the flatbuffer, or behind it in a file of over 2 GB."""
    if buffer.offset and buffer.offset > 1:
        return data[buffer.offset : buffer.offset + buffer.size]
    return b"" if buffer.data is None else bytes(buffer.data)


def _values(content: bytes, tensor: Any, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return the numbers of a dense tensor; None of text, or of a sparse or unknown encoding."""
    dtype = _dtype(tensor)
    if tensor.sparsity is not None:
        return None
    if dtype in _HALF_BYTE:
        return _half_bytes(content, dtype, shape)
    try:
        kind = np.dtype(dtype)
    except TypeError:
        return None
    if kind.kind == "O" or len(content) != kind.itemsize * int(np.prod(shape)):
        return None
    return np.frombuffer(content, kind).reshape(shape)


def _half_bytes(content: bytes, dtype: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return numbers of 4 bits, of which each byte has two, the first in its lower half."""
    packed = np.frombuffer(content, np.uint8)
    halves = np.stack([packed & 15, packed >> 4], axis=-1).ravel()[: int(np.prod(shape))]
    if halves.size != int(np.prod(shape)):
        return None
    signed = ((halves.astype(np.int8) ^ 8) - 8) if dtype == "int4" else halves
    return signed.astype(_HALF_BYTE[dtype]).reshape(shape)


def _quantization(name: str, tensor: Any) -> QuantizedTensor | None:
    found = tensor.quantization
    if found is None or not _listed(found.scale):
        return None
    scales = tuple(float(scale) for scale in found.scale)
    return QuantizedTensor(
        name=name,
        dtype=_dtype(tensor),
        scales=scales,
        zero_points=tuple(int(zero) for zero in _listed(found.zeroPoint)),
        axis=int(found.quantizedDimension) if len(scales) > 1 else None,
    )
