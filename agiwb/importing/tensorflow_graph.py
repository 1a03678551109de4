"""The operators of TensorFlow's graphs, read from their protobuf without TensorFlow.

Field numbers are those of TensorFlow's graph.proto, node_def.proto, function.proto and
attr_value.proto.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from agiwb.importing.protobuf_fields import (
    MalformedError,
    entries,
    fields,
    submessages,
    text,
    texts,
)
from agiwb.importing.tensorflow_operators import CHECKPOINT, FILE_TABLES, denied

_DEEPEST_ATTRIBUTE = 20


@dataclass(frozen=True)
class Node:
    """One operation: what it is, what it reads, and the functions that it calls."""

    name: str
    operator: str
    inputs: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    strings: tuple[str, ...] = ()
    """Texts of a constant, as far as they are few."""


@dataclass
class Graph:
    """The nodes of a graph, and those of each function in its library."""

    nodes: list[Node] = field(default_factory=list)
    functions: dict[str, list[Node]] = field(default_factory=dict)

    def all_nodes(self) -> Iterator[Node]:
        """Yield every node, those of functions included."""
        yield from self.nodes
        for nodes in self.functions.values():
            yield from nodes

    def operators(self) -> Counter[str]:
        """Return how often each operator occurs, calls of the graph's own functions aside."""
        found = Counter(node.operator for node in self.all_nodes())
        return Counter({name: n for name, n in found.items() if name not in self.functions})


def read_graph(content: memoryview) -> Graph:
    """Return the graph of a GraphDef's bytes; raise MalformedError if they are none."""
    graph = Graph()
    for number, value in fields(content):
        if isinstance(value, int):
            continue
        if number == 1:
            graph.nodes.append(_node(value))
        elif number == 2:
            for function in submessages(value, 1):
                name = "".join(texts(memoryview(b"".join(submessages(function, 1))), 1)[-1:])
                body = graph.functions.setdefault(name, [])
                body.extend(_node(node) for node in submessages(function, 3))
    return graph


def forbidden(graph: Graph) -> str | None:
    """Return what is wrong with a graph by its operators' names alone, or None."""
    own = graph.functions.keys()
    for node in graph.all_nodes():
        for name in (node.operator, *node.calls):
            if denied(name):
                return f"it holds the operator {name}, which reaches outside the model"
            if name in CHECKPOINT and (name in node.calls or name in own):
                return f"it uses {name} as a function's name"
        missing = [name for name in node.calls if name not in own]
        if missing:
            return f"its operation {node.name[:60]!r} calls a function that it does not have"
    return None


def foreign_file(graph: Graph, assets: Iterable[str]) -> str | None:
    """Return what is wrong with a graph that fills tables from files not its assets, or None.

    ``assets`` are the names of the nodes that stand for the model's own files.
    """
    if not any(node.operator in FILE_TABLES for node in graph.all_nodes()):
        return None
    own = set(assets)
    for node in graph.all_nodes():
        for value in node.strings:
            if node.name not in own and ("/" in value or value.startswith("..")):
                return f"it fills a table from a file, and names {value[:60]!r}, not of its assets"
    return None


def reached(graph: Graph, roots: Iterable[str], functions: Iterable[str] = ()) -> set[str]:
    """Return the operators that computing the nodes ``roots``, or ``functions``, may come to."""
    nodes = {node.name: node for node in graph.nodes}
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [_node_name(root) for root in roots]
    called = list(functions)
    while waiting or called:
        if waiting:
            name = waiting.pop()
            if name in seen or name not in nodes:
                continue
            seen.add(name)
            body: list[Node] = [nodes[name]]
            waiting += [_node_name(read) for read in nodes[name].inputs]
        else:
            name = called.pop()
            if f"function {name}" in seen:
                continue
            seen.add(f"function {name}")
            body = graph.functions.get(name, [])
        for node in body:
            found.add(node.operator)
            called += [*node.calls, *([node.operator] if node.operator in graph.functions else [])]
    return found


def _node_name(reference: str) -> str:
    return reference.removeprefix("^").partition(":")[0]


def _node(content: memoryview) -> Node:
    name = operator = ""
    inputs: list[str] = []
    calls: list[str] = []
    strings: list[str] = []
    for number, value in fields(content):
        if isinstance(value, int):
            continue
        if number in {1, 2, 3}:
            try:
                said = bytes(value).decode("utf-8")
            except UnicodeDecodeError:
                raise MalformedError("a name in it is not UTF-8") from None
            if number == 1:
                name = said
            elif number == 2:
                operator = said
            else:
                inputs.append(said)
    for _, attribute in entries(content, 5):
        calls += _called(attribute, 0)
        if operator == "Const":
            strings += _strings(attribute)
    return Node(name, operator, tuple(inputs), tuple(calls), tuple(strings))


def _called(attribute: memoryview, depth: int) -> Iterator[str]:
    """Yield the functions that an attribute names, and those within their attributes."""
    if depth > _DEEPEST_ATTRIBUTE:
        raise MalformedError("its attributes are nested too deeply")
    found = list(submessages(attribute, 10))
    for listed in submessages(attribute, 1):
        found += submessages(listed, 9)
    for function in found:
        if name := text(function, 1):
            yield name
        for _, inner in entries(function, 2):
            yield from _called(inner, depth + 1)


def _strings(attribute: memoryview) -> list[str]:
    """Return the texts in a constant's tensor, unless they are a table's worth."""
    values = [v for tensor in submessages(attribute, 8) for v in submessages(tensor, 8)]
    if len(values) > 16:
        return []
    return [bytes(value).decode("utf-8", "replace") for value in values if len(value) <= 4096]
