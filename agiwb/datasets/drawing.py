"""Some of the examples, drawn at random: in proportion to the classes, where there are such.

The draw is scikit-learn's ``train_test_split``, to the last index, without its import, which takes
two seconds of processor time in every process that loads a data set.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]


def draw_apart(
    count: int, share: float, seed: int, classes: NDArray[np.integer[Any]] | None = None
) -> tuple[Rows, Rows]:
    """Return ``count`` indices in two, in random order: what is left, and ``share`` of them.

    Args:
        count: How many examples there are.
        share: What is to be drawn, above 0 and below 1, rounded up to whole examples.
        seed: Equal seeds give equal draws.
        classes: Class of each example; both parts then have their proportions as nearly as can be.

    Raises:
        ValueError: A part would be empty, or without an example of each class.
    """
    drawn = math.ceil(share * count)
    left = count - drawn
    if not 0 < drawn < count:
        raise ValueError(f"{share:g} of {count} examples leaves one of the two parts empty.")
    random = np.random.RandomState(seed)
    if classes is None:
        mixed = random.permutation(count)
        return mixed[drawn:], mixed[:drawn]
    values, found, counts = np.unique(classes, return_inverse=True, return_counts=True)
    if counts.min() < 2:
        lonely = values[counts.argmin()]
        raise ValueError(f"class {lonely} has only {counts.min()} example, too few for two parts.")
    if min(drawn, left) < len(values):
        raise ValueError(f"{min(drawn, left)} examples cannot hold each of {len(values)} classes.")
    left_of = _apportion(counts, left, random)
    drawn_of = _apportion(counts - left_of, drawn, random)
    members = np.split(np.argsort(found, kind="stable"), np.cumsum(counts)[:-1])
    parts: tuple[list[Rows], list[Rows]] = ([], [])
    for rows, first, second in zip(members, left_of, drawn_of, strict=True):
        mixed = rows[random.permutation(len(rows))]
        parts[0].append(mixed[:first])
        parts[1].append(mixed[first : first + second])
    rest, taken = (random.permutation(np.concatenate(part)) for part in parts)
    return rest, taken


def _apportion(counts: Rows, total: int, random: np.random.RandomState) -> Rows:
    """Return how many of each class make ``total``: the largest remainders are rounded up."""
    exact = counts / counts.sum() * total
    whole: Rows = np.floor(exact).astype(np.intp)
    missing = int(total - whole.sum())
    remainders = exact - whole
    for remainder in np.unique(remainders)[::-1]:
        if missing == 0:
            break
        equal = np.flatnonzero(remainders == remainder)
        chosen = random.choice(equal, size=min(len(equal), missing), replace=False)
        whole[chosen] += 1
        missing -= len(chosen)
    return whole
