"""A matplotlib figure that notebooks and pages can show, made without pyplot's global state."""

from __future__ import annotations

import base64
import html
import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke

# Okabe and Ito (2008): distinguishable with every common colour blindness, and in grey.
BLUE, ORANGE, VERMILION, GREY = "#0072B2", "#E69F00", "#D55E00", "#777777"
HALO: list[AbstractPathEffect] = [withStroke(linewidth=2, foreground="white")]
"""Path effects that keep a text readable on top of lines."""
_DPI = 110
_BETWEEN = 0.06
"""Room between axes side by side, as a share of their width: labels must not be read as one."""


class Picture(Figure):
    """A figure with a text alternative for those who cannot see it."""

    def __init__(self, width: float, height: float, alt: str) -> None:
        super().__init__(figsize=(width, height))
        self.set_layout_engine("constrained", wspace=_BETWEEN)
        self.alt = alt

    def png(self) -> bytes:
        """Return the figure as PNG bytes."""
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=_DPI)
        return stream.getvalue()

    def html(self) -> str:
        """Return an ``<img>`` with the picture inside it and its text alternative."""
        data = base64.b64encode(self.png()).decode("ascii")
        return f'<img src="data:image/png;base64,{data}" alt="{html.escape(self.alt)}">'

    def _repr_html_(self) -> str:
        return self.html()

    def axes_row(self, count: int) -> list[Axes]:
        """Return ``count`` axes side by side, without the frame's top and right lines."""
        row = [self.add_subplot(1, count, index + 1) for index in range(count)]
        for axes in row:
            axes.spines[["top", "right"]].set_visible(False)
        return row
