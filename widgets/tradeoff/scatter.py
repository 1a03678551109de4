"""A scatter plot whose points and limits answer to mouse, finger and keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

_HERE = Path(__file__).parent


class Scatter(anywidget.AnyWidget):
    """Accuracy in percent against a cost, as SVG; see ``scatter.js`` for how it is handled.

    Everything is in the units of the axes. ``x_limit`` and ``y_limit`` are lines that can be
    dragged, or moved with the arrow keys; ``inspected`` and ``compared`` follow the points that are
    chosen. What is computed from them is the business of whoever observes them.
    """

    # The browser loads one module: what the other file has is put before it.
    _esm = "".join((_HERE / name).read_text("utf-8") for name in ("axes.js", "scatter.js"))
    _css = _HERE / "scatter.css"

    label = traitlets.Unicode("", help="The picture's accessible name").tag(sync=True)
    x_label = traitlets.Unicode("").tag(sync=True)
    y_label = traitlets.Unicode("").tag(sync=True)
    x_unit = traitlets.Unicode("", help="After a number on x, when it is read out").tag(sync=True)
    x_log = traitlets.Bool(False).tag(sync=True)
    marks: traitlets.List[dict[str, Any]] = traitlets.List(help="See ``marks.Mark``").tag(sync=True)
    front: traitlets.List[str] = traitlets.List(help="Names that a line joins, in order").tag(
        sync=True
    )
    band: traitlets.List[float] = traitlets.List(
        help="From and to on x: what is too close to the baseline to call; empty if nothing is"
    ).tag(sync=True)
    baseline: traitlets.Float[Any, Any] = traitlets.Float(
        None, allow_none=True, help="The baseline's accuracy"
    ).tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)
    inspected = traitlets.Unicode("").tag(sync=True)
    compared = traitlets.Unicode("").tag(sync=True)
    x_limit: traitlets.Float[Any, Any] = traitlets.Float(
        None, allow_none=True, help="Most that may be spent; None is no limit"
    ).tag(sync=True)
    y_limit: traitlets.Float[Any, Any] = traitlets.Float(
        None, allow_none=True, help="Least accuracy; None shows no line"
    ).tag(sync=True)
    x_steps = traitlets.Int(1000, help="To how many parts of a unit ``x_limit`` is rounded").tag(
        sync=True
    )
    movable = traitlets.Bool(True, help="Whether the limits are shown").tag(sync=True)
