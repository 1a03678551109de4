"""The worst slices: where the model is, or is expected to be, wrong far more often than elsewhere.

A small regression tree looks for them on one half of the rows, and each leaf is tested on the
other: a slice that only fits the rows it was found on does not last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

IS = " = "
"""In a name: the feature is 1 where a column has a category, else 0."""
_DEPTH = 3
_LEVEL = 0.05
_SMALLEST_SHARE = 0.05
FEWEST_ROWS = 30
"""Rows of the half that tests below which no slice is reported."""


class WeakSlice(BaseModel):
    """A part of the rows that a rule picks out; all figures but ``rows`` are of the testing half.

    Attributes:
        rule: Conditions on features, in words.
        rows: Rows of the whole window that fit the rule.
        loss: Mean loss of the rows that fit.
        rest_loss: Mean loss of all other rows.
        p_value: That both are alike (Welch 1947, one-sided), adjusted for the slices tested.
    """

    model_config = ConfigDict(frozen=True)

    rule: str
    rows: int
    loss: float
    rest_loss: float
    p_value: float
    conditions: tuple[tuple[int, bool, float], ...]
    """Feature, whether it is at most (or above) the limit, and the limit."""

    def holds(self, features: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """Return which rows of ``features``, shape ``(rows, ...)``, the rule picks out."""
        flat = features.reshape(len(features), math.prod(features.shape[1:]))
        picked = np.ones(len(flat), bool)
        for place, at_most, limit in self.conditions:
            column = flat[:, place]
            picked &= (column <= limit) if at_most else (column > limit)
        return picked


def find_weak_slices(
    features: NDArray[np.floating[Any]],
    loss: NDArray[np.floating[Any]],
    names: Sequence[str],
    seed: int = 0,
) -> tuple[WeakSlice, ...]:
    """Return the slices with a higher loss than the rest, the worst first; none if all are alike.

    Args:
        features: Shape ``(rows, ...)``; rows that are not finite are left out.
        loss: Loss of each row, or 1 less the probability that its answer is right.
        names: What the features are called; see ``IS``.
        seed: Equal seeds give equal results.
    """
    from scipy.stats import false_discovery_control
    from sklearn.tree import DecisionTreeRegressor

    flat = features.reshape(len(features), math.prod(features.shape[1:]))
    sound = np.isfinite(flat).all(axis=1) & np.isfinite(loss)
    flat, losses = flat[sound], loss[sound].astype(np.float64)
    order = np.random.default_rng(seed).permutation(len(flat))
    taught, tested = np.array_split(order, 2)
    if len(tested) < 2 * FEWEST_ROWS:
        return ()
    least = max(FEWEST_ROWS, round(_SMALLEST_SHARE * len(taught)))
    tree = DecisionTreeRegressor(max_depth=_DEPTH, min_samples_leaf=least, random_state=seed)
    tree.fit(flat[taught], losses[taught])
    found = [
        made
        for path in _paths(tree.tree_)
        if (made := _tested(path, flat, losses, tested, names)) is not None
    ]
    if not found:
        return ()
    adjusted = false_discovery_control([made.p_value for made in found])
    kept = [
        made.model_copy(update={"p_value": float(p_value)})
        for made, p_value in zip(found, adjusted, strict=True)
        if p_value < _LEVEL
    ]
    return tuple(sorted(kept, key=lambda made: -made.loss))


Path = tuple[tuple[int, bool, float], ...]


def _paths(tree: Any) -> list[Path]:
    """Return the conditions on the way to each leaf; none if the tree is a single leaf."""
    paths: list[Path] = []
    waiting: list[tuple[int, Path]] = [(0, ())]
    while waiting:
        node, path = waiting.pop()
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        if left == right:
            paths.append(path)
            continue
        place, limit = int(tree.feature[node]), float(tree.threshold[node])
        waiting += [(left, (*path, (place, True, limit))), (right, (*path, (place, False, limit)))]
    return [path for path in paths if path]


def _tested(
    path: Path,
    features: NDArray[Any],
    loss: NDArray[np.float64],
    tested: NDArray[np.intp],
    names: Sequence[str],
) -> WeakSlice | None:
    from scipy.stats import ttest_ind

    whole = WeakSlice(
        rule=_words(path, names), rows=0, loss=0, rest_loss=0, p_value=1, conditions=path
    )
    picked = whole.holds(features)
    inside, outside = loss[tested][picked[tested]], loss[tested][~picked[tested]]
    if min(len(inside), len(outside)) < FEWEST_ROWS:
        return None
    gap = inside.mean() - outside.mean()
    varies = inside.std() + outside.std() > 0
    p_value = 1.0 if gap <= 0 else 0.0
    if varies:
        p_value = float(ttest_ind(inside, outside, equal_var=False, alternative="greater").pvalue)
    return whole.model_copy(
        update={
            "rows": int(picked.sum()),
            "loss": float(inside.mean()),
            "rest_loss": float(outside.mean()),
            "p_value": p_value,
        }
    )


def _words(path: Path, names: Sequence[str]) -> str:
    """Return the conditions in words, each feature's tightest ones only."""
    tightest: dict[tuple[int, bool], float] = {}
    for place, at_most, limit in path:
        known = tightest.get((place, at_most), limit)
        tightest[place, at_most] = min(known, limit) if at_most else max(known, limit)
    return " and ".join(
        _condition(names[place], limit, at_most=at_most)
        for (place, at_most), limit in sorted(tightest.items())
    )


def _condition(name: str, limit: float, *, at_most: bool) -> str:
    if IS in name:
        return name.replace(IS, " is not ", 1) if at_most else name
    return f"{name} {'<=' if at_most else '>'} {limit:.3g}"
