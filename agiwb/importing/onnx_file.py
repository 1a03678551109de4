"""Inspecting ``.onnx`` files: their operators, and the files beside them that they read.

Field numbers are those of onnx.proto3.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agiwb.importing.limits import DEEPEST, LARGEST_FILE, LARGEST_TENSOR
from agiwb.importing.protobuf_fields import MalformedError, fields, numbers, submessages, text
from agiwb.importing.refusal import quoted, refused
from agiwb.importing.report import Contents, said_writer
from agiwb.importing.saved_model import mapped

_DOMAINS = frozenset({
    "", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "com.microsoft",
    "ai.onnx.preview.training", "com.microsoft.nchwc", "com.microsoft.experimental",
    "com.ms.internal.nhwc",
})  # fmt: skip
"""Whose operators ONNX Runtime has built in."""
_DENIED = frozenset({"EPContext", "PythonOp", "PythonOpGrad", "ATen", "TritonOp", "ExternOp"})
"""Operators of ONNX Runtime that load compiled code, other files or Python."""


@dataclass
class _Findings:
    path: Path
    operators: Counter[str] = field(default_factory=Counter)
    domains: set[str] = field(default_factory=set)
    own_domains: set[str] = field(default_factory=set)
    external: dict[str, None] = field(default_factory=dict)


def inspect_onnx(path: Path, beside: Path) -> Contents:  # noqa: C901  a field after the other
    """Return what the file ``path`` holds.

    Args:
        path: The ``.onnx`` file.
        beside: The folder that its external data lie in.

    Raises:
        InputError: It is damaged; it names a file that is not there or outside ``beside``; it
            needs operators of other libraries.
    """
    found = _Findings(path)
    opsets: dict[str, int] = {}
    with mapped(path) as content:
        try:
            writer = said_writer(text(content, 2), text(content, 3))
            for opset in submessages(content, 8):
                opsets[text(opset, 1)] = max(numbers(opset, 2), default=0)
            found.own_domains = {text(function, 10) for function in submessages(content, 25)}
            graphs = 0
            for graph in submessages(content, 7):
                graphs += 1
                _graph(graph, found, beside, 0)
            for function in submessages(content, 25):
                for node in submessages(function, 7):
                    _node(node, found, beside, 0)
                for attribute in submessages(function, 11):
                    _attribute(attribute, found, beside, 0)
            for training in submessages(content, 20):
                for number in (1, 2):
                    for graph in submessages(training, number):
                        _graph(graph, found, beside, 0)
        except MalformedError as error:
            raise refused(path, str(error)) from None
    if not graphs:
        raise refused(path, "it holds no graph")
    foreign = sorted(found.domains - _DOMAINS - found.own_domains)
    if foreign:
        raise refused(
            path,
            f"it needs operators of the domain {quoted(foreign[0])}, which another library brings",
            "Export it with standard operators only.",
        )
    return Contents(
        operators=dict(found.operators),
        custom=tuple(name for name in sorted(found.operators) if "." in name),
        opset=opsets.get("", opsets.get("ai.onnx")),
        external_files=tuple(found.external),
        written_by=writer,
    )


def _graph(graph: memoryview, found: _Findings, beside: Path, depth: int) -> None:
    if depth > DEEPEST:
        raise MalformedError("its graphs are nested too deeply")
    for number, value in fields(graph):
        if isinstance(value, int):
            continue
        if number == 1:
            _node(value, found, beside, depth)
        elif number == 5:
            _tensor(value, found, beside)
        elif number == 15:
            _sparse(value, found, beside)


def _node(node: memoryview, found: _Findings, beside: Path, depth: int) -> None:
    operator, domain = text(node, 4), text(node, 7)
    if operator in _DENIED:
        raise refused(found.path, f"it holds the operator {operator}, which loads other code")
    found.domains.add(domain)
    found.operators[operator if domain in {"", "ai.onnx"} else f"{domain}.{operator}"] += 1
    for attribute in submessages(node, 5):
        _attribute(attribute, found, beside, depth)


def _attribute(attribute: memoryview, found: _Findings, beside: Path, depth: int) -> None:
    for number, value in fields(attribute):
        if isinstance(value, int):
            continue
        if number in {5, 10}:
            _tensor(value, found, beside)
        elif number in {6, 11}:
            _graph(value, found, beside, depth + 1)
        elif number in {22, 23}:
            _sparse(value, found, beside)


def _sparse(value: memoryview, found: _Findings, beside: Path) -> None:
    for number in (1, 2):
        for tensor in submessages(value, number):
            _tensor(tensor, found, beside)


def _tensor(tensor: memoryview, found: _Findings, beside: Path) -> None:
    dims = list(numbers(tensor, 1))
    if any(size < 0 for size in dims) or math.prod(dims) > LARGEST_TENSOR:
        raise refused(found.path, f"it holds a tensor of the shape {quoted(dims)}")
    told = dict(_pairs(tensor))
    if not told and 1 not in numbers(tensor, 14):
        return
    location = told.get("location", "")
    file = _external(location, beside, found.path)
    try:
        start, size = int(told.get("offset", "0")), int(told.get("length", "0"))
    except ValueError:
        raise refused(found.path, "the place of its external data is no number") from None
    if min(start, size) < 0 or start + size > file.stat().st_size:
        raise refused(found.path, f"its external data end beyond the file {quoted(location)}")
    found.external[location] = None


def _pairs(tensor: memoryview) -> Iterator[tuple[str, str]]:
    for entry in submessages(tensor, 13):
        yield text(entry, 1), text(entry, 2)


def _external(location: str, beside: Path, path: Path) -> Path:
    """Return the file of external data; raise InputError unless it lies in the model's folder."""
    named = Path(location)
    fix = "Get the model again, with all of its files in one folder."
    if not location or named.is_absolute() or ".." in named.parts or "\\" in location:
        raise refused(path, f"it would read {quoted(location)}, outside its folder", fix)
    if "\x00" in location or len(location) > 255:
        raise refused(path, f"it would read {quoted(location)}, which is no file's name", fix)
    file = beside / named
    if not file.resolve().is_relative_to(beside.resolve()) or file.is_symlink():
        raise refused(path, f"its external data {quoted(location)} are a link", fix)
    if not file.is_file():
        raise refused(path, f"its external data {quoted(location)} are missing", fix)
    if file.stat().st_size > LARGEST_FILE:
        raise refused(path, f"its external data have {file.stat().st_size:,} bytes")
    return file
