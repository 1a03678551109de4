"""Curves that grow, as SVG: light enough to be drawn anew with each epoch, in the theme's ink."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BELOW = 420, 190, 52, 30
_SHOWN = "24rem"
"""So wide that two stand side by side in a notebook beside JupyterLab's files."""
# Okabe and Ito's colours and dashes: told apart without colour too.
_LINES = (("#0072B2", ""), ("#E69F00", "6 4"), ("#D55E00", "2 3"), ("#777777", "8 3 2 3"))
_FRAME = 'stroke="currentColor" stroke-opacity=".35"'
_MOST_POINTS = 240
"""Of one line as it is drawn: more are closer together than a line is wide."""

Curve = Sequence[tuple[int, float]]


def curves_svg(curves: Mapping[str, Curve]) -> str:
    """Return a panel for each measure (loss, accuracy), with a line for each split.

    Args:
        curves: Points ``(epoch, value)`` by name, ``<split>_<measure>``.
    """
    panels: dict[str, dict[str, Curve]] = {}
    for name, points in curves.items():
        split, _, measure = name.partition("_")
        finite = [(x, y) for x, y in points if math.isfinite(y)]
        if measure and finite:
            panels.setdefault(measure, {})[split] = finite
    return "".join(_panel(measure, lines) for measure, lines in panels.items())


def thinned(line: Curve, most: int = _MOST_POINTS) -> Curve:
    """Return at most ``most`` points of a line that look like all: the extremes of equal spans.

    A training of an hour has thousands of epochs, and each new one sends the picture again: it must
    not grow with them. The first and the last point are always among those that are left.
    """
    if len(line) <= most:
        return line
    spans = most // 2 - 1
    inner = line[1:-1]
    kept = [line[0]]
    for place in range(spans):
        part = inner[place * len(inner) // spans : (place + 1) * len(inner) // spans]
        ends = {min(part, key=_height), max(part, key=_height)}
        kept += sorted(ends)
    return [*kept, line[-1]]


def _height(point: tuple[int, float]) -> float:
    return point[1]


def _panel(measure: str, lines: Mapping[str, Curve]) -> str:
    xs = [x for line in lines.values() for x, _ in line]
    ys = [y for line in lines.values() for _, y in line]
    low, high = min(ys), max(ys)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    low, high = low - margin if low < 0 else max(low - margin, 0.0), high + margin
    if measure == "accuracy":
        high = min(high, 1.0)
    first, last = min(xs), max(*xs, min(xs) + 1)

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (x - first) / (last - first) * (_WIDTH - _LEFT - 10)
        return across, 10 + (high - y) / (high - low) * (_HEIGHT - _BELOW - 10)

    parts = [_axes(first, last, low, high)]
    for index, (split, line) in enumerate(lines.items()):
        colour, dash = _LINES[index % len(_LINES)]
        drawn = (place(*point) for point in thinned(line))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
        )
        x, y = place(*line[-1])
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        parts.append(_legend(index, split, line[-1][1], colour, dash))
    name = measure.replace("_", " ")
    told = ", ".join(f"{split} {line[-1][1]:.4g}" for split, line in lines.items())
    return (
        f'<svg role="img" aria-label="{escape(name)} after epoch {max(xs)}: {escape(told)}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT + 18 * len(lines)}" '
        f'style="width:min(100%, {_SHOWN});font-size:12px" fill="currentColor">'
        f'<text x="{_LEFT}" y="9" font-weight="600">{escape(name)}</text>{"".join(parts)}</svg>'
    )


def _axes(first: float, last: float, low: float, high: float) -> str:
    bottom = _HEIGHT - _BELOW
    frame = f'<path d="M{_LEFT} 14V{bottom}H{_WIDTH - 10}" fill="none" {_FRAME}/>'
    ticks = "".join(
        f'<text x="{_LEFT - 6}" y="{y}" text-anchor="end">{value:.3g}</text>'
        for value, y in ((high, 20), (low, bottom))
    )
    ends = "".join(
        f'<text x="{x}" y="{bottom + 15}" text-anchor="{anchor}">{text}</text>'
        for x, anchor, text in (
            (_LEFT, "start", f"{first:g}"),
            ((_LEFT + _WIDTH) / 2, "middle", "epoch"),
            (_WIDTH - 10, "end", f"{last:g}"),
        )
    )
    return frame + ticks + ends


def _legend(index: int, split: str, value: float, colour: str, dash: str) -> str:
    y = _HEIGHT + 4 + 18 * index
    return (
        f'<line x1="{_LEFT}" x2="{_LEFT + 30}" y1="{y}" y2="{y}" stroke="{colour}" '
        f'stroke-width="2" stroke-dasharray="{dash}"/>'
        f'<text x="{_LEFT + 38}" y="{y + 4}">{escape(split)} {value:.4g}</text>'
    )
