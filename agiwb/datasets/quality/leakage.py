"""How well one column alone predicts the label: too well is a leak more often than a gift."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS = 10_000
_FOLDS = 3
_LEAST_LEAVES, _DEPTH, _LEAST_IN_LEAF = 8, 7, 5


def skill(values: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return how well ``values`` predict ``labels``, cross-validated over three folds.

    Numbers are given to a small decision tree, texts to a table of what goes with each of them.
    For classes: the share of the majority's errors that it avoids. For numbers: R², the share of
    the variance that it explains. 1 is perfect, 0 no better than the majority or the mean; below 0
    becomes 0.

    Args:
        values: float32 with NaN for missing, or str objects, ``(examples,)``; at most 10,000 are
            used, spread evenly.
        labels: Classes (integers) or numbers, ``(examples,)``.
    """
    if len(labels) > _ROWS:
        chosen = np.linspace(0, len(labels) - 1, _ROWS).round().astype(int)
        values, labels = values[chosen], labels[chosen]
    fold = np.random.default_rng(0).permutation(len(labels)) % _FOLDS
    has_classes = labels.dtype.kind in "iu"
    missed, baseline = 0.0, 0.0
    for number in range(_FOLDS):
        known, asked = fold != number, fold == number
        usual = _usual(labels[known])
        if values.dtype.kind == "O":
            guesses = _looked_up(values[known], labels[known], values[asked], usual)
        else:
            guesses = _by_tree(values[known], labels[known], values[asked])
        truths = labels[asked]
        if has_classes:
            missed += float((guesses != truths).sum())
            baseline += float((truths != usual).sum())
        else:
            missed += float(((guesses - truths.astype(np.float64)) ** 2).sum())
            baseline += float(((usual - truths.astype(np.float64)) ** 2).sum())
    return max(0.0, 1 - missed / baseline) if baseline else 0.0


def _usual(labels: NDArray[Any]) -> float:
    if labels.dtype.kind in "iu":
        return int(np.bincount(labels).argmax())
    return float(labels.mean(dtype=np.float64))


def _looked_up(
    values: NDArray[Any], labels: NDArray[Any], asked: NDArray[Any], usual: float
) -> NDArray[Any]:
    """Return for each text asked the usual label of it among ``values``."""
    order = np.argsort(values, kind="stable")
    distinct, starts = np.unique(values[order], return_index=True)
    groups = np.split(labels[order], starts[1:])
    answers = {text: _usual(group) for text, group in zip(distinct, groups, strict=True)}
    return np.array([answers.get(text, usual) for text in asked])


def _by_tree(values: NDArray[Any], labels: NDArray[Any], asked: NDArray[Any]) -> NDArray[Any]:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if labels.dtype.kind in "iu":
        leaves = max(_LEAST_LEAVES, 2 * len(np.unique(labels)))
        tree = DecisionTreeClassifier(
            max_leaf_nodes=leaves, min_samples_leaf=_LEAST_IN_LEAF, random_state=0
        )
    else:
        tree = DecisionTreeRegressor(
            max_depth=_DEPTH, min_samples_leaf=_LEAST_IN_LEAF, random_state=0
        )
    tree.fit(_column(values), labels)
    guesses: NDArray[Any] = tree.predict(_column(asked))
    return guesses


def _column(values: NDArray[Any]) -> NDArray[np.float32]:
    finite: NDArray[np.float32] = np.where(np.isinf(values), np.nan, values).astype(np.float32)
    return finite[:, np.newaxis]
