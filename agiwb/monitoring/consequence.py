"""What a drift does to the model: how much of the expected accuracy comes back if it is undone.

A feature may drift far and matter to no answer. So each drifted feature is put back, value by
value, to where the reference had it, the model is asked again, and the expected accuracy is
compared: the difference is what this drift costs. Features are put back one at a time, so the
costs of features that act together do not add up to the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

_ROWS = 500
"""Most rows of the window that are asked about again."""
_FEATURES = 10


class Consequence(BaseModel):
    """What the drift of one feature does to the expected accuracy.

    ``change`` is in accuracy, negative if the drift makes the model worse; ``changed_answers`` is
    the share of rows whose most probable class is another because of the drift.
    """

    model_config = ConfigDict(frozen=True)

    feature: str
    change: float
    changed_answers: float


def weigh_drift(
    ask: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    expected: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    reference: NDArray[np.float32],
    window: NDArray[np.float32],
    drifted: Sequence[int],
    names: Sequence[str],
) -> tuple[Consequence, ...]:
    """Return what each of the first ten ``drifted`` features does, the most harmful first.

    Args:
        ask: Gives the model's probabilities, shape ``(rows, classes)``, for features.
        expected: Gives the probability that each of those answers is right.
        reference: Features, shape ``(rows, ...)``.
        window: The same of the window; at most 500 of its finite rows are asked about.
        drifted: Places of the features in a flattened row, the strongest first.
        names: What all features are called.
    """
    flat = window.reshape(len(window), math.prod(window.shape[1:]))
    flat = flat[np.isfinite(flat).all(axis=1)]
    if len(flat) == 0 or not drifted:
        return ()
    # Values are put back by their rank in the whole window, whatever rows are asked about.
    kept = np.random.default_rng(0).permutation(len(flat))[:_ROWS]
    shape = window.shape[1:]
    answers = ask(flat[kept].reshape(-1, *shape))
    before = expected(answers)
    known = reference.reshape(len(reference), -1)
    found = []
    for place in list(drifted)[:_FEATURES]:
        undone = flat[kept].copy()
        undone[:, place] = put_back(known[:, place], flat[:, place])[kept]
        anew = ask(undone.reshape(-1, *shape))
        found.append(
            Consequence(
                feature=names[place],
                change=float((before - expected(anew)).mean()),
                changed_answers=float((anew.argmax(axis=1) != answers.argmax(axis=1)).mean()),
            )
        )
    return tuple(sorted(found, key=lambda one: one.change))


def put_back(
    reference: NDArray[np.floating[Any]], window: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return the reference's value of the same rank for each value of ``window``; equals alike.

    Values that are not finite stay as they are.
    """
    known = np.sort(reference[np.isfinite(reference)])
    made = window.astype(np.float64)
    finite = np.isfinite(window)
    if len(known) == 0 or not finite.any():
        return made
    values, places, counts = np.unique(window[finite], return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - counts / 2) / counts.sum()
    made[finite] = np.quantile(known, rank, method="nearest")[places.reshape(-1)]
    return made if len(values) else window.astype(np.float64)
