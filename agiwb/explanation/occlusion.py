"""What one answer of a model rests on, found by asking it again with parts of the input hidden.

It needs nothing but answers, so that it works on whatever is served, in every format: occlusion of
image patches (Zeiler and Fergus 2014), leaving out one word (Li, Monroe and Jurafsky 2016), and
putting what is usual in place of one column of a table (Robnik-Sikonja and Kononenko 2008, with one
value for each column).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError

Ask = Callable[[Sequence[Any]], NDArray[np.floating]]
"""Gives the outputs of rows, ``(rows, outputs)``."""

_MOST_PATCHES = 14
_MOST_WORDS = 200
_ROWS_AT_ONCE = 64


def occlude_image(row: NDArray[np.floating], target: int, ask: Ask) -> NDArray[np.float64]:
    """Return by how much output ``target`` falls when a patch of the image becomes black.

    Args:
        row: ``(height, width[, channels])``.
        target: Index of the output.
        ask: The model.

    Returns:
        ``(rows of patches, columns of patches)``, at most 14 x 14; above 0 speaks for the answer.
    """
    height, width = row.shape[:2]
    down, across = min(height, _MOST_PATCHES), min(width, _MOST_PATCHES)
    tops = np.linspace(0, height, down + 1).round().astype(int)
    lefts = np.linspace(0, width, across + 1).round().astype(int)
    hidden = []
    for top, bottom in pairwise(tops):
        for left, right in pairwise(lefts):
            changed = row.copy()
            changed[top:bottom, left:right] = 0
            hidden.append(changed)
    return _falls(row, hidden, target, ask).reshape(down, across)


def leave_out_words(text: str, target: int, ask: Ask) -> list[tuple[str, float]]:
    """Return each word of a text with how much output ``target`` falls without it.

    Raises:
        InputError: The text has no words, or more than 200.
    """
    words = text.split()
    if not 0 < len(words) <= _MOST_WORDS:
        raise InputError(
            f"The text has {len(words)} words; 1 to {_MOST_WORDS} can be explained one by one.",
            "Give a shorter text.",
        )
    without = [" ".join([*words[:n], *words[n + 1 :]]) for n in range(len(words))]
    falls = _falls(text, without, target, ask)
    return [(word, float(fall)) for word, fall in zip(words, falls, strict=True)]


def replace_columns(
    row: Mapping[str, Any], usual: Mapping[str, Any], target: int, ask: Ask
) -> list[tuple[str, float]]:
    """Return each column with how much output ``target`` falls when it has its usual value.

    Args:
        row: Values by column, as the model takes them.
        usual: The same of a row that is usual in every column.
        target: Index of the output.
        ask: The model.
    """
    changed = [{**row, name: usual[name]} for name in row]
    falls = _falls(dict(row), changed, target, ask)
    return [(name, float(fall)) for name, fall in zip(row, falls, strict=True)]


def _falls(row: Any, changed: Sequence[Any], target: int, ask: Ask) -> NDArray[np.float64]:
    rows = [row, *changed]
    outputs = [
        np.asarray(ask(rows[first : first + _ROWS_AT_ONCE]), np.float64)
        for first in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    values = np.concatenate([part.reshape(len(part), -1)[:, target] for part in outputs])
    return np.asarray(values[0] - values[1:], np.float64)
