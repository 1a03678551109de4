"""Names beside the points of a picture, placed so that none covers another or a point."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agiwb.reporting.picture import HALO

_SIZE = 7.5
_HEIGHT, _WIDTH = 1.35 * _SIZE, 0.58 * _SIZE
"""Of a line and of a letter, in points; the width is that of the default font on average."""
_POINT = 4.0
"""Half the width of a marker, in points."""
_ROUNDS = 14

Box = tuple[float, float, float, float]
"""Left, lower, right and upper end, in points."""


def place_labels(axes: Axes, labels: Sequence[tuple[float, float, str]]) -> None:
    """Write each text beside its point, as near as there is room.

    Places to the right and to the left are tried, farther and farther up and down; a text that
    had to go far is joined to its point by a thin line. Call it last: limits and layout are frozen.

    Args:
        axes: With everything drawn, and in their final scales.
        labels: x and y of a point, in the units of the axes, and the text.
    """
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    scale = 72 / _laid_out(axes).dpi
    centres = [
        tuple(float(each) * scale for each in axes.transData.transform((x, y)))
        for x, y, _ in labels
    ]
    left, low, right, high = (float(each) * scale for each in axes.get_window_extent().extents)
    frame = (left, low, right, high)
    taken = [(x - _POINT, y - _POINT, x + _POINT, y + _POINT) for x, y in centres]
    for (x, y, text), (at, up) in sorted(zip(labels, centres, strict=True), key=lambda p: -p[1][1]):
        width = _WIDTH * len(text)
        boxes = [
            (at + dx, up + dy - _HEIGHT / 2, at + dx + width, up + dy + _HEIGHT / 2)
            for dx, dy in _offsets(width)
        ]
        inside = [box for box in boxes if _contains(frame, box)]
        box = next((b for b in inside if not any(_overlap(b, t) for t in taken)), boxes[0])
        taken.append(box)
        dx, dy = box[0] - at, (box[1] + box[3]) / 2 - up
        far = abs(dy) > 1.5 * _HEIGHT
        axes.annotate(
            text, (x, y), xytext=(dx, dy), textcoords="offset points", fontsize=_SIZE,
            va="center", annotation_clip=False, zorder=4,
            path_effects=HALO,
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "0.5"} if far else None,
        )  # fmt: skip


def _laid_out(axes: Axes) -> Figure:
    """Return the figure of ``axes`` with its layout done for good: it says how far apart all is."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("The axes belong to no figure, so that nothing can be placed in them.")
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    return figure


def _offsets(width: float) -> list[tuple[float, float]]:
    """Return where a text's left end may be, from its point: nearest first."""
    sides = (_POINT + 3, -width - _POINT - 3)
    steps = sorted(range(-_ROUNDS, _ROUNDS + 1), key=lambda step: (abs(step), -step))
    heights = [step * 0.6 * _HEIGHT for step in steps]
    return [(side, dy) for dy in heights for side in sides]


def _contains(outer: Box, inner: Box) -> bool:
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[2] <= outer[2]
        and inner[3] <= outer[3]
    )


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
