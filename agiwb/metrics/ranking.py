"""How well scores put a user's own items before all others.

All items are ranked, not a sample of them: sampled metrics can reverse which of two models is the
better (Krichene and Rendle 2020, "On Sampled Metrics for Item Recommendation").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError

Items = Sequence[NDArray[np.intp]]
"""For each user the indices of some items."""

Scores = NDArray[Any] | Callable[[NDArray[np.intp]], NDArray[Any]]
"""Scores of all items, ``(users, items)``, or what gives those rows for indices of users."""

_SCORES_AT_ONCE = 2_000_000


def ranking_scores(
    scores: Scores,
    positives: Items,
    seen: Items,
    k: int = 10,
    *,
    items: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Return ``recall_at_<k>``, ``ndcg_at_<k>``, ``hit_rate_at_<k>`` and ``mrr``, means over users.

    For a user whose positives P take the ranks r among all items that they have not seen:

    - recall@k: the share of P with r <= k.
    - NDCG@k: the sum of 1 / log2(r + 1) over the r <= k, divided by what it would be with P first
      (Järvelin and Kekäläinen 2002, with gains 0 and 1).
    - hit rate@k: 1 if any r <= k, else 0.
    - MRR: 1 / the smallest r (Voorhees 1999), without a cut.

    A positive that was already seen is none. Users without positives are left out. Among equal
    scores the order is drawn by chance, the same for all users: a model that scores all items
    alike gets what guessing gets.

    Args:
        scores: Higher is better.
        positives: What each user should be shown.
        seen: What each user is not shown, because they know it.
        k: Length of the list that is shown.
        items: Number of all items; needed only if ``scores`` is a function.
        seed: Of the order among equal scores.

    Raises:
        InputError: The shapes do not fit, a score is not a number, or no user has a positive.
    """
    users = len(positives)
    rows, count = _checked(scores, items)
    if len(seen) != users or (isinstance(scores, np.ndarray) and len(scores) != users):
        raise InputError(
            f"There are positives for {users} users, and seen items for {len(seen)}"
            + (f", and scores for {len(scores)}." if isinstance(scores, np.ndarray) else "."),
            "Give one row of scores and two lists of items for each user.",
        )
    if k < 1:
        raise InputError(f"`k` is {k}: a list of no items.", "Give at least 1.")
    order = np.random.default_rng(seed).permutation(count)
    parts = [
        _of_each_user(rows(batch)[:, order], wanted[:, order], known[:, order], k)
        for batch, wanted, known in _batches(positives, seen, count)
    ]
    if not parts:
        raise InputError(
            "No user has an item that they should be shown and have not seen.",
            "Give users with positives.",
        )
    means = np.concatenate(parts, axis=1).mean(axis=1)
    names = (f"recall_at_{k}", f"ndcg_at_{k}", f"hit_rate_at_{k}", "mrr")
    return {name: float(value) for name, value in zip(names, means, strict=True)}


def _checked(
    scores: Scores, items: int | None
) -> tuple[Callable[[NDArray[np.intp]], NDArray[Any]], int]:
    """Return what gives sound rows of scores, and the number of items."""
    if isinstance(scores, np.ndarray):
        if scores.ndim != 2:
            raise InputError(
                f"Scores of shape {scores.shape} are not one row of items a user.",
                "Give shape (users, items).",
            )
        matrix = scores
        count = int(matrix.shape[1])
    elif items is None:
        raise InputError("`items` is needed where scores are given by a function.", "Give it.")
    else:
        count = items

    def rows(users: NDArray[np.intp]) -> NDArray[Any]:
        found = matrix[users] if isinstance(scores, np.ndarray) else np.asarray(scores(users))
        if found.shape != (len(users), count):
            raise InputError(
                f"The scores of {len(users)} users have shape {found.shape}.",
                f"Give {(len(users), count)}: one for each user and item.",
            )
        if np.isnan(found).any():
            raise InputError("A score is not a number.", "Train the model again.")
        return found

    return rows, count


def _batches(
    positives: Items, seen: Items, count: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield users that have positives, with their positives and seen items as masks."""
    wanted = [np.setdiff1d(own, known) for own, known in zip(positives, seen, strict=True)]
    users = np.flatnonzero([len(own) > 0 for own in wanted])
    for batch in np.array_split(users, -(-len(users) * count // _SCORES_AT_ONCE) or 1):
        if len(batch):
            yield (
                batch,
                _mask([wanted[user] for user in batch], count),
                _mask([np.asarray(seen[user], dtype=np.intp) for user in batch], count),
            )


def _mask(chosen: Items, count: int) -> NDArray[np.bool_]:
    mask = np.zeros((len(chosen), count), dtype=bool)
    rows = np.repeat(np.arange(len(chosen)), [len(own) for own in chosen])
    columns = np.concatenate(chosen)
    if len(columns) and (columns.min() < 0 or columns.max() >= count):
        raise InputError(
            f"An item has the index {int(columns.max())}, and there are {count} items.",
            "Number the items from 0.",
        )
    mask[rows, columns] = True
    return mask


def _of_each_user(
    scores: NDArray[Any], wanted: NDArray[np.bool_], known: NDArray[np.bool_], k: int
) -> NDArray[np.float64]:
    """Return the four figures of each user: ``(4, users)``."""
    hidden = np.where(known, -np.inf, scores)
    ranked = np.argsort(-hidden, axis=1, kind="stable")
    hits = np.take_along_axis(wanted, ranked, axis=1)
    positives = wanted.sum(axis=1)
    top = hits[:, :k]
    discounts = 1 / np.log2(np.arange(2, top.shape[1] + 2))
    best = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(positives, top.shape[1])]
    return np.stack(
        [
            top.sum(axis=1) / positives,
            top @ discounts / best,
            top.any(axis=1).astype(np.float64),
            1 / (1 + hits.argmax(axis=1)),
        ]
    )
