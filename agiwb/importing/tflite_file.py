"""Inspecting ``.tflite`` files: every offset and index is checked before an interpreter follows it.

Tables and their slots are those of TensorFlow Lite's schema.fbs; how they lie in the bytes is
FlatBuffers' internals, https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from agiwb.importing.flatbuffer import Table, root_table
from agiwb.importing.limits import LARGEST_TENSOR
from agiwb.importing.protobuf_fields import MalformedError
from agiwb.importing.refusal import quoted, refused
from agiwb.importing.report import Contents
from agiwb.importing.saved_model import mapped
from agiwb.importing.tensorflow_operators import denied

_CUSTOM = 32
_MOST_PARTS = 1_000_000
_FLEX = "Flex"


def inspect_tflite(path: Path) -> Contents:
    """Return what the file ``path`` holds.

    Raises:
        InputError: It is damaged or cut off, or an operator reaches outside the model.
    """
    with mapped(path) as content:
        try:
            return _inspect(root_table(content, b"TFL3"), path)
        except MalformedError as error:
            raise refused(path, str(error)) from None


def _inspect(model: Table, path: Path) -> Contents:
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    builtin = {number: name for name, number in vars(BuiltinOperator).items()}
    codes = [_operator_name(code, builtin) for code in model.tables(1)]
    for name in codes:
        if name.startswith(_FLEX) and denied(name.removeprefix(_FLEX)):
            raise refused(path, f"it holds the operator {name}, which reaches outside the model")
    buffers = model.tables(4)
    for buffer in buffers:
        buffer.bytes_of(0)
        _check_outside(model, buffer)
    graphs = model.tables(2)
    if not graphs:
        raise MalformedError("it holds no graph")
    found: Counter[str] = Counter()
    for graph in graphs:
        found.update(_inspect_graph(graph, codes, len(buffers), path))
    for signature in model.tables(7):
        if signature.number(4, "I") >= len(graphs):
            raise MalformedError("a signature of it names a graph that is not there")
    custom = tuple(sorted(name for name in found if name not in builtin.values()))
    return Contents(operators=dict(found), custom=custom)


def _inspect_graph(graph: Table, codes: list[str], buffers: int, path: Path) -> Counter[str]:
    tensors = graph.tables(0)
    for tensor in tensors:
        sizes = tensor.numbers(0, "i")
        if any(size < 0 for size in sizes) or math.prod(sizes) > LARGEST_TENSOR:
            raise refused(path, f"it holds a tensor of the shape {quoted(sizes)}")
        if tensor.number(2, "I") >= max(buffers, 1):
            raise MalformedError("a tensor of it has no buffer")
        tensor.text(3)
    operators = graph.tables(3)
    if len(operators) > _MOST_PARTS:
        raise MalformedError("it holds too many operators")
    found: Counter[str] = Counter()
    for operator in operators:
        index = operator.number(0, "I")
        if index >= len(codes):
            raise MalformedError("an operator of it is not in its list")
        found[codes[index]] += 1
        for slot in (1, 2):
            _check_indices(operator.numbers(slot, "i"), len(tensors))
    for slot in (1, 2):
        _check_indices(graph.numbers(slot, "i"), len(tensors), optional=False)
    return found


def _check_indices(indices: list[int], count: int, *, optional: bool = True) -> None:
    """Raise MalformedError unless each is a tensor's index; -1 stands for an input left out."""
    if any(not (0 <= i < count or (optional and i == -1)) for i in indices):
        raise MalformedError("an operator of it reads a tensor that is not there")


def _check_outside(model: Table, buffer: Table) -> None:
    """Check a buffer that lies behind the tables, as those beyond 2 GiB do."""
    offset, size = buffer.number(1, "Q"), buffer.number(2, "Q")
    if offset > 1 and offset + size > len(model.content):
        raise MalformedError("it ends too early")


def _operator_name(code: Table, builtin: Mapping[object, str]) -> str:
    number = max(code.number(0, "b"), code.number(3, "i"))
    if number < 0:
        raise MalformedError("it holds an operator of an unknown kind")
    if number == _CUSTOM:
        return code.text(1) or "custom"
    return builtin.get(number, f"BUILTIN_{number}")
