"""Runs as pictures and tables: two side by side, and where one comes from."""

from __future__ import annotations

from matplotlib.ticker import MaxNLocator

from agiwb.history.comparison import Comparison, MetricChange, with_interval
from agiwb.history.lineage import Lineage
from agiwb.inspection.inspection import GraphNode
from agiwb.reporting.graph_layout import layered
from agiwb.reporting.picture import BLUE, GREY, ORANGE, Picture
from agiwb.reporting.tables import Table
from agiwb.runs.record import Record


def comparison_table(made: Comparison) -> Table:
    """Return a row for each field of the config that differs, and for each figure."""
    first, second = made.first.run.id[:8], made.second.run.id[:8]
    rows = [
        {"": "config", "what": one.name, first: str(one.first), second: str(one.second)}
        for one in made.config
    ]
    rows += [
        {
            "": "figure",
            "what": one.name,
            first: with_interval(one.first, one.first_interval),
            second: with_interval(one.second, one.second_interval),
            "difference": _difference(one),
        }
        for one in made.metrics
    ]
    return Table.of(rows)


def plot_both_curves(made: Comparison) -> Picture | None:
    """Return the training curves of two runs over each other; None for runs without any."""
    names = _curve_names(made.first, made.second)
    if not names:
        return None
    shown = " and ".join(f"run {record.run.id[:8]}" for record in (made.first, made.second))
    picture = Picture(4.5 * len(names), 3.2, f"Curves of {shown}: {', '.join(names)}.")
    for axes, name in zip(picture.axes_row(len(names)), names, strict=True):
        for record, line, colour in ((made.first, "-", BLUE), (made.second, "--", ORANGE)):
            curves = [one for one in getattr(record, "curves", ()) if name in one.metrics]
            if curves:
                axes.plot(
                    [one.epoch for one in curves], [one.metrics[name] for one in curves], line,
                    color=colour, marker="o" if len(curves) == 1 else "", label=record.run.id[:8],
                )  # fmt: skip
        axes.set(xlabel="epoch", ylabel=name.replace("_", " "))
        axes.legend(frameon=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return picture


def plot_lineage(found: Lineage) -> Picture:
    """Return the graph of the runs that lead to a run and from it, oldest at the top."""
    parents = {
        one: tuple(p for p, child, _ in found.edges if child == one) for one in found.entries
    }
    nodes = [GraphNode(name=one, operator="", inputs=parents[one]) for one in found.entries]
    places = layered(nodes)
    depth = max((layer for _, layer in places.values()), default=0) + 1
    reach = max((abs(across) for across, _ in places.values()), default=0.0)
    names = "; ".join(entry.name for entry in found.entries.values())
    picture = Picture(
        max(5.0, min(14.0, 5.0 * (2 * reach + 1))), 0.5 + 0.9 * depth, f"Lineage: {names}."
    )
    axes = picture.add_subplot()
    for parent, child, name in found.edges:
        if parent not in places:
            continue
        (x0, y0), (x1, y1) = places[parent], places[child]
        axes.annotate(
            "", (x1, y1 - 0.2), (x0, y0 + 0.2), arrowprops={"arrowstyle": "->", "color": GREY}
        )
        axes.text(
            (x0 + x1) / 2, (y0 + y1) / 2, f" {name}", color=GREY, fontsize="small", va="center"
        )
    for one, (across, layer) in places.items():
        entry, chosen = found.entries[one], one == found.run_id
        text = f"{entry.step} {entry.id[:8]}\n{entry.title}"[:60]
        axes.text(
            across, layer, text, ha="center", va="center", fontsize="small",
            weight="bold" if chosen else "normal",
            bbox={"boxstyle": "round,pad=0.5", "facecolor": "white",
                  "edgecolor": BLUE if chosen else GREY, "linewidth": 2 if chosen else 1},
        )  # fmt: skip
    axes.set_xlim(-reach - 0.6, reach + 0.6)
    axes.set_ylim(depth - 0.5, -0.5)
    axes.set_axis_off()
    return picture


def _difference(one: MetricChange) -> str:
    if one.difference is None:
        return ""
    if one.is_same:
        return "none"
    bounds = one.interval
    around = f" [{bounds.low:+.4g}, {bounds.high:+.4g}]" if bounds else ""
    return f"{one.difference:+.4g}{around}"


def _curve_names(first: Record, second: Record) -> list[str]:
    """Return the validation's curves that either has, the loss first; at most three."""
    metrics = [
        name
        for record in (first, second)
        for epoch in getattr(record, "curves", ())
        for name in epoch.metrics
    ]
    names = dict.fromkeys(name for name in metrics if name.startswith("validation_"))
    return sorted(names, key=lambda name: not name.endswith("_loss"))[:3]
