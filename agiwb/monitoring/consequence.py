"""What a drift does to the model: how much of the expected accuracy comes back if it is undone.

A feature may drift far and matter to no answer. So each drifted feature is put back, value by
value, to where the reference had it, the model is asked again, and the expected accuracy is
compared: the difference is what this drift costs. Features are put back one at a time, so the
costs of features that act together do not add up to the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.monitoring.described import Description

_ROWS = 500
"""Most rows of the window that are asked about again."""
_FEATURES = 10
WORTH_SAYING = 0.005
"""Change of accuracy below which a drift is said to do little."""


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
    ask: Callable[[NDArray[Any]], NDArray[np.float32]],
    expected: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    description: Description,
    reference: NDArray[np.float32],
    window: NDArray[Any],
    drifted: Sequence[int],
) -> tuple[Consequence, ...]:
    """Return what each of the first ten ``drifted`` features does, the most harmful first.

    Nothing is returned where a figure cannot be put back into an example, as the length of a text.

    Args:
        ask: Gives the model's probabilities, shape ``(rows, classes)``, for examples.
        expected: Gives the probability that each of those answers is right.
        description: How examples are described.
        reference: The reference's numbers, shape ``(rows, numbers)``.
        window: Examples; at most 500 in which all drifted features are finite are asked about.
        drifted: Places of the features among the numbers, the strongest first.
    """
    places = list(drifted)[:_FEATURES]
    numbers = description.numbers(window)
    sound = np.flatnonzero(np.isfinite(numbers[:, places]).all(axis=1))
    if len(sound) == 0 or not places or not description.undoable:
        return ()
    # Values are put back by their rank in the whole window, whatever rows are asked about.
    kept = sound[np.random.default_rng(0).permutation(len(sound))[:_ROWS]]
    asked = window[kept]
    answers = ask(asked)
    before = expected(answers)
    found = []
    for place in places:
        values = put_back(reference[:, place], numbers[:, place])[kept]
        anew = ask(description.with_number(asked, place, values))
        found.append(
            Consequence(
                feature=description.names[place],
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
