"""An inspected model as pictures and tables, for a panel and as a page of its own."""

from __future__ import annotations

import numpy as np

from agiwb.inspection.difference import Difference
from agiwb.inspection.inspection import GraphNode, Inspection, LayerSummary, TensorSummary
from agiwb.reporting.graph_layout import layered
from agiwb.reporting.page import Section, render
from agiwb.reporting.picture import BLUE, GREY, ORANGE, Picture
from agiwb.reporting.tables import Table

MOST_DRAWN = 60
"""Nodes of a graph that a picture shows so that they can be read."""

_MOST_HISTOGRAMS = 12
_COLUMNS = 4
_MOST_ROWS = 40
_MOST_NAMED = 20
_LONGEST_NAME = 48


def layer_table(found: Inspection) -> Table:
    """Return a row for each layer with weights; of very many, the largest."""
    return Table.of(
        [
            {
                "layer": _short(layer.name, _LONGEST_NAME),
                "operator": layer.operator,
                "numbers": f"{layer.parameters:,}",
                "bytes": f"{layer.size_bytes:,}",
                "zero": "" if layer.sparsity is None else f"{layer.sparsity:.1%}",
                "stored as": ", ".join(layer.dtypes),
            }
            for layer in _largest_layers(found)
        ]
    )


def _largest_layers(found: Inspection) -> list[LayerSummary]:
    """Return the layers that are shown, in the file's order."""
    by_size = sorted(found.layers, key=lambda layer: -layer.size_bytes)
    shown = {layer.name for layer in by_size[:_MOST_ROWS]}
    return [layer for layer in found.layers if layer.name in shown]


def difference_table(found: Difference) -> Table:
    """Return a row for each tensor that is in both models and changed; of very many, the first."""
    return Table.of(
        [
            {
                "tensor": _short(one.name, _LONGEST_NAME),
                "in the second": ""
                if one.other_name == one.name
                else _short(one.other_name, _LONGEST_NAME),
                "stored as": " -> ".join(dict.fromkeys(one.dtypes)),
                "values changed": f"{one.changed:,}",
                "largest change": f"{one.largest:.3g}",
                "relative change": "" if one.relative is None else f"{one.relative:.3g}",
            }
            for one in found.tensors[:_MOST_ROWS]
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
        axes.locator_params(axis="x", nbins=4)
        axes.set_xlabel(f"{tensor.dtype}, {spread.zeros / tensor.parameters:.0%} zero", fontsize=7)
    return picture


def plot_graph(found: Inspection) -> Picture:
    """Return the graph of a small model, layer by layer from the top.

    One of more than ``MOST_DRAWN`` nodes is not drawn: the picture says how many there are.
    """
    nodes = found.nodes
    if not nodes or len(nodes) > MOST_DRAWN:
        said = _undrawn(nodes)
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


def inspection_sections(found: Inspection) -> list[Section]:
    """Return the parts of what there is to see of one model."""
    sparsity = "" if found.sparsity is None else f", {found.sparsity:.1%} of them zero"
    left = len(found.layers) - _MOST_ROWS
    parts = [
        Section(
            "Model",
            f"{found.format}, {found.size_bytes:,} bytes: {found.parameters:,} numbers{sparsity}.",
            table=_facts(found).html(),
        ),
        Section(
            "Operators",
            f"{', '.join(f'{name} {count:,}' for name, count in found.operators.items())}.",
            details=tuple(f"Not standard: `{name}`." for name in found.custom_operators),
        ),
    ]
    if found.layers:
        parts += [
            Section(
                "Layers",
                f"The {_MOST_ROWS} largest with weights; {left} smaller ones are left out."
                if left > 0
                else "Those with weights.",
                table=layer_table(found).html(),
            ),
            _weights("Weights", found),
        ]
    return [*parts, _graph(found)]


def difference_sections(found: Difference) -> list[Section]:
    """Return the parts of what is different between two models."""
    one, other = found.one, found.other
    if found.is_empty:
        verdict = "Signature, operators and weights are the same."
    else:
        verdict = (
            f"Tensors that are the same: {found.unchanged}; changed: {len(found.tensors)}; only in "
            f"the first: {len(found.only_one)}; only in the second: {len(found.only_other)}."
        )
    paths = (f"First: `{one.path}`", f"Second: `{other.path}`")
    parts = [Section("Difference", verdict, table=_side_by_side(one, other).html(), details=paths)]
    if found.signature:
        parts.append(
            Section(
                "Signature",
                "What only the first (-) or only the second (+) has.",
                details=tuple(f"`{line}`" for line in found.signature),
            )
        )
    if found.operators:
        counts = (f"{name} {a:,} → {b:,}" for name, (a, b) in found.operators.items())
        parts.append(Section("Operators", f"First → second: {', '.join(counts)}."))
    if found.tensors:
        left = len(found.tensors) - _MOST_ROWS
        parts.append(
            Section(
                "Changed weights",
                f"The first {_MOST_ROWS}; {left} more changed."
                if left > 0
                else "By name, or by a shape that each model has once.",
                table=difference_table(found).html(),
            )
        )
    lone = (("first", found.only_one), ("second", found.only_other))
    parts += [
        Section(f"Only in the {which}", _named(names)) for which, names in lone if names
    ]  # fmt: skip
    return parts + [
        _weights(f"Weights of the {which}", model)
        for which, model in (("first", one), ("second", other))
        if model.layers and not found.is_empty
    ]


def inspection_page(found: Inspection) -> str:
    """Return one HTML page with all of it, which needs no other file."""
    return render("inspection.html", title=found.path, sections=inspection_sections(found))


def difference_page(found: Difference) -> str:
    """Return one HTML page with what is different, which needs no other file."""
    title = f"{found.one.path} and {found.other.path}"
    return render("inspection.html", title=title, sections=difference_sections(found))


def _facts(found: Inspection) -> Table:
    """Return what the file says of itself, a row each."""
    sides = (("input", found.signature.inputs), ("output", found.signature.outputs))
    rows = [
        *((side, str(spec)) for side, specs in sides for spec in specs),
        *(
            (f"stored as {dtype}", f"{size:,} bytes")
            for dtype, size in found.bytes_by_dtype.items()
        ),
        *found.details.items(),
        ("SHA-256", found.sha256),
    ]
    return Table.of([{"": name, "as the file says": text} for name, text in rows])


def _side_by_side(one: Inspection, other: Inspection) -> Table:
    rows = {
        "format": (one.format, other.format),
        "bytes": (f"{one.size_bytes:,}", f"{other.size_bytes:,}"),
        "numbers": (f"{one.parameters:,}", f"{other.parameters:,}"),
    }
    return Table.of([{"": name, "first": a, "second": b} for name, (a, b) in rows.items()])


def _weights(title: str, found: Inspection) -> Section:
    return Section(
        title,
        f"How the values of the largest tensors spread, at most {_MOST_HISTOGRAMS}; integers as "
        "what they stand for.",
        plot_weights(found).html(),
    )


def _graph(found: Inspection) -> Section:
    if not 0 < len(found.nodes) <= MOST_DRAWN:
        return Section("Graph", _undrawn(found.nodes))
    return Section("Graph", "Orange operators have weights.", plot_graph(found).html())


def _undrawn(nodes: tuple[GraphNode, ...]) -> str:
    return f"{len(nodes)} operators: only graphs of 1 to {MOST_DRAWN} are drawn."


def _named(names: tuple[str, ...]) -> str:
    shown = ", ".join(_short(name, _LONGEST_NAME) for name in names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return f"{shown}{more}."


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
