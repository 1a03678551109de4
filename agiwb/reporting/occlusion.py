"""What one answer of a served model rests on, as a picture or as a text."""

from __future__ import annotations

import html

import numpy as np
from numpy.typing import NDArray

from agiwb.reporting.picture import Picture

_STRONGEST = 0.6
"""Opacity of the mark of the word that matters most."""
_SPEAKS_FOR, _AGAINST = "230, 97, 1", "94, 60, 153"


def plot_occlusion(row: NDArray[np.floating], falls: NDArray[np.float64], answer: str) -> Picture:
    """Return an image beside the patches whose hiding lowers (orange) or raises (violet) an answer.

    Args:
        row: ``(height, width[, channels])``.
        falls: ``(rows of patches, columns of patches)``.
        answer: What the answer is called.
    """
    largest = max(float(np.abs(falls).max()), 1e-9)
    down, across = np.unravel_index(int(falls.argmax()), falls.shape)
    picture = Picture(
        7.5, 3.2,
        f"What {answer} rests on: hiding the patch in row {down + 1}, column {across + 1} of "
        f"{falls.shape[0]} x {falls.shape[1]} lowers its output most, by {falls.max():.3f}.",
    )  # fmt: skip
    image, patches = picture.axes_row(2)
    shown = row / max(float(row.max()), 1e-9)
    image.imshow(shown.squeeze(), cmap="gray")
    image.set_title("what the model was given")
    drawn = patches.imshow(falls, cmap="PuOr_r", vmin=-largest, vmax=largest)
    patches.set_title(f"fall of {answer} when hidden")
    picture.colorbar(drawn, ax=patches, shrink=0.8)
    for axes in (image, patches):
        axes.set_axis_off()
    return picture


def words_html(falls: list[tuple[str, float]], answer: str) -> str:
    """Return a text whose words are marked by how much an answer falls without them, as HTML."""
    largest = max((abs(fall) for _, fall in falls), default=0.0) or 1.0
    marked = " ".join(_marked(word, fall, largest) for word, fall in falls)
    strongest = sorted(falls, key=lambda pair: -pair[1])[:3]
    words = ", ".join(f"“{word}” ({fall:+.3f})" for word, fall in strongest)
    return (
        f"<p>{marked}</p><p>For {html.escape(answer)} speak most: {html.escape(words)}. "
        "A figure is how far the output falls without the word.</p>"
    )


def columns_html(falls: list[tuple[str, float]], answer: str) -> str:
    """Return columns by how much an answer falls when one has its usual value, as HTML."""
    largest = max((abs(fall) for _, fall in falls), default=0.0) or 1.0
    ordered = sorted(falls, key=lambda pair: -abs(pair[1]))
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{fall:+.3g}</td>'
        f'<td style="width: 12rem">{_bar(fall, largest)}</td></tr>'
        for name, fall in ordered
    )
    name = html.escape(answer)
    return (
        f'<table aria-label="What {name} rests on">{rows}</table><p>A figure is how far the output '
        f"for {name} falls when the column has the value that is usual in the training data: "
        "orange speaks for it, violet against.</p>"
    )


def _bar(fall: float, largest: float) -> str:
    colour = _SPEAKS_FOR if fall > 0 else _AGAINST
    style = f"height: .8rem; width: {100 * abs(fall) / largest:.0f}%; background: rgb({colour})"
    return f'<div aria-hidden="true" style="{style}"></div>'


def _marked(word: str, fall: float, largest: float) -> str:
    colour = _SPEAKS_FOR if fall > 0 else _AGAINST
    share = _STRONGEST * abs(fall) / largest
    return f'<span style="background: rgba({colour}, {share:.2f})">{html.escape(word)}</span>'
