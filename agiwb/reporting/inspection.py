"""An inspected model as pictures and tables, and as one page."""

from __future__ import annotations

import html

import numpy as np

from agiwb.inspection.difference import Difference
from agiwb.inspection.inspection import GraphNode, Inspection, TensorSummary
from agiwb.reporting.graph_layout import layered
from agiwb.reporting.picture import BLUE, GREY, ORANGE, Picture
from agiwb.reporting.tables import Table

MOST_DRAWN = 60
"""Nodes of a graph that a picture shows so that they can be read."""

_MOST_HISTOGRAMS = 12
_COLUMNS = 4


def layer_table(found: Inspection) -> Table:
    """Return a row for each layer with weights."""
    return Table.of(
        [
            {
                "layer": layer.name,
                "operator": layer.operator,
                "numbers": f"{layer.parameters:,}",
                "bytes": f"{layer.size_bytes:,}",
                "zero": "" if layer.sparsity is None else f"{layer.sparsity:.1%}",
                "stored as": ", ".join(layer.dtypes),
            }
            for layer in found.layers
        ]
    )


def operator_table(found: Inspection) -> Table:
    """Return a row for each operator with how often it occurs."""
    return Table.of(
        [{"operator": name, "count": f"{count:,}"} for name, count in found.operators.items()]
    )


def difference_table(found: Difference) -> Table:
    """Return a row for each tensor that is in both models and changed."""
    return Table.of(
        [
            {
                "tensor": one.name,
                "in the second": "" if one.other_name == one.name else one.other_name,
                "stored as": " -> ".join(dict.fromkeys(one.dtypes)),
                "values changed": f"{one.changed:,}",
                "largest change": f"{one.largest:.3g}",
                "relative change": "" if one.relative is None else f"{one.relative:.3g}",
            }
            for one in found.tensors
        ]
    )


def plot_weights(found: Inspection) -> Picture:
    """Return histograms of the largest tensors' values, quantised ones as what they stand for."""
    tensors = sorted(
        (one for one in found.tensors if one.spread is not None and one.parameters > 1),
        key=lambda one: -one.parameters,
    )[:_MOST_HISTOGRAMS]
    rows = max(-(-len(tensors) // _COLUMNS), 1)
    alt = f"How the values of {len(tensors)} tensors spread: " + "; ".join(map(_words, tensors))
    picture = Picture(11, 2.1 * rows, alt)
    for index, tensor in enumerate(tensors):
        spread = tensor.spread
        assert spread is not None  # noqa: S101  chosen above
        axes = picture.add_subplot(rows, _COLUMNS, index + 1)
        axes.spines[["top", "right"]].set_visible(False)
        edges = np.linspace(spread.minimum, spread.maximum, len(spread.histogram) + 1)
        if spread.minimum < spread.maximum:
            axes.stairs(spread.histogram, edges, fill=True, color=BLUE)
        else:
            axes.axvline(spread.minimum, color=BLUE)
        axes.set_title(_short(tensor.name, 28), fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_yticks([])
        axes.set_xlabel(f"{tensor.dtype}, {spread.zeros / tensor.parameters:.0%} zero", fontsize=7)
    return picture


def plot_graph(found: Inspection) -> Picture:
    """Return the graph of a small model, layer by layer from the top.

    One of more than ``MOST_DRAWN`` nodes is not drawn: the picture says how many there are.
    """
    nodes = found.nodes
    if not nodes or len(nodes) > MOST_DRAWN:
        said = f"{len(nodes)} operators: only graphs of 1 to {MOST_DRAWN} are drawn"
        picture = Picture(6, 0.6, said)
        picture.text(0.5, 0.5, said, ha="center", va="center", color=GREY)
        return picture
    places = layered(nodes)
    wide = max(x for x, _ in places.values()) - min(x for x, _ in places.values()) + 1
    deep = max(y for _, y in places.values()) + 1
    picture = Picture(max(2.1 * wide, 3), 0.62 * deep + 0.3, _graph_words(nodes))
    axes = picture.add_subplot()
    axes.set_axis_off()
    axes.set(xlim=(-wide / 2 - 0.05, wide / 2 + 0.05), ylim=(deep - 0.5, -0.5))
    for node in nodes:
        for taken in (name for name in node.inputs if name in places):
            axes.annotate(
                "", places[node.name], places[taken], zorder=1,
                arrowprops={"arrowstyle": "-|>", "color": GREY, "shrinkA": 9, "shrinkB": 13},
            )  # fmt: skip
    weighted = {layer.name for layer in found.layers}
    for node in nodes:
        edge = ORANGE if node.name in weighted else GREY
        axes.annotate(
            f"{node.operator}\n{_short(node.name, 26)}", places[node.name], ha="center",
            va="center", fontsize=7, zorder=2,
            bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": edge},
        )  # fmt: skip
    return picture


def inspection_page(found: Inspection) -> str:
    """Return one HTML page with all of it, which needs no other file."""
    parts = [
        ("Signature", _signature_table(found).html()),
        ("Operators", operator_table(found).html()),
        ("Layers", layer_table(found).html()),
        ("Weights", plot_weights(found).html()),
        ("Graph", plot_graph(found).html()),
    ]
    return _page(found.path, parts)


def difference_page(found: Difference) -> str:
    """Return one HTML page with what is different, and both models' weights."""
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in found.signature)
    operators = Table.of(
        [{"operator": name, "first": str(a), "second": str(b)}
         for name, (a, b) in found.operators.items()]
    )  # fmt: skip
    parts = [
        ("Signature", f"<ul>{lines}</ul>" if lines else "<p>The same.</p>"),
        ("Operators", operators.html() if found.operators else "<p>The same.</p>"),
        ("Weights", difference_table(found).html() if found.tensors else "<p>The same.</p>"),
        (f"Weights of {found.one.path}", plot_weights(found.one).html()),
        (f"Weights of {found.other.path}", plot_weights(found.other).html()),
    ]
    return _page(f"{found.one.path} and {found.other.path}", parts)


def _page(title: str, parts: list[tuple[str, str]]) -> str:
    body = "".join(f"<h2>{html.escape(name)}</h2>{content}" for name, content in parts)
    shown = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{shown}</title>'
        "<style>body{font-family:sans-serif;max-width:70em;margin:auto}"
        "td,th{text-align:left;padding:.1em .8em}img{max-width:100%}</style></head>"
        f"<body><h1>{shown}</h1>{body}</body></html>"
    )


def _signature_table(found: Inspection) -> Table:
    sides = (("input", found.signature.inputs), ("output", found.signature.outputs))
    return Table.of([{"": side, "tensor": str(spec)} for side, specs in sides for spec in specs])


def _short(name: str, most: int) -> str:
    """Return the end of a long name, which is what tells names apart."""
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _words(tensor: TensorSummary) -> str:
    spread = tensor.spread
    assert spread is not None  # noqa: S101  asked of those that have one
    return f"{tensor.name} from {spread.minimum:.2g} to {spread.maximum:.2g}"


def _graph_words(nodes: tuple[GraphNode, ...]) -> str:
    return "A graph: " + "; ".join(
        f"{node.name} ({node.operator})"
        + (f" takes {', '.join(node.inputs)}" if node.inputs else "")
        for node in nodes
    )
