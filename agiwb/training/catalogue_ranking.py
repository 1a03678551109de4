"""How well a model of choices ranks the whole catalogue of items for the users of the test split.

The metrics of single pairs tell chosen items from drawn ones; a user of a recommender sees the top
of a list of all items.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Split
from agiwb.datasets.main_metric import main_metric
from agiwb.metrics.ranking import ranking_scores
from agiwb.runs.context import Context
from agiwb.tensorflow_quietly import import_tensorflow

if TYPE_CHECKING:
    import keras

SHOWN_ITEMS = 10
_MOST_USERS = 1000
_MOST_PAIRS = 20_000_000
_PAIRS_AT_ONCE = 100_000


def catalogue_scores(model: keras.Model, data: Dataset, context: Context) -> dict[str, float]:
    """Return ``recall_at_10``, ``ndcg_at_10``, ``hit_rate_at_10`` and ``mrr`` on the test split.

    Each user's chosen items of the test split are ranked among all items of the data set but those
    that the user chose in train or validation. At most 1,000 users are asked about, evenly spread,
    and fewer if there are more than 20,000 items. Nothing is returned for other tasks, for graded
    ratings, and where no user chose anything new.
    """
    if data.task != "ranking" or main_metric(data) != "auc":
        return {}
    chosen, earlier = _chosen([data.test]), _chosen([data.train, data.validation])
    users = sorted(user for user, own in chosen.items() if own - earlier.get(user, set()))
    if not users:
        return {}
    catalogue = sorted(set().union(*map(_items, data.splits.values())))
    most = min(_MOST_USERS, max(1, _MOST_PAIRS // len(catalogue)))
    if len(users) > most:
        context.say(f"all {len(catalogue)} items are ranked for {most} of {len(users)} test users")
        users = [users[i] for i in np.linspace(0, len(users) - 1, most).round().astype(int)]
    scores = _scorer(model, catalogue)
    place = {item: index for index, item in enumerate(catalogue)}
    done = 0

    def rows(batch: NDArray[np.intp]) -> NDArray[np.float32]:
        nonlocal done
        done += len(batch)
        context.progress("ranking all items", done, len(users))
        return scores(np.array(users)[batch])

    def indices(of: dict[str, set[str]]) -> list[NDArray[np.intp]]:
        return [np.array([place[i] for i in of.get(user, ())], dtype=np.intp) for user in users]

    return ranking_scores(
        rows, indices(chosen), indices(earlier), SHOWN_ITEMS, items=len(catalogue)
    )


def _scorer(
    model: keras.Model, catalogue: list[str]
) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return what gives the scores of all items for some users: ``(users, items)``.

    The pairs are made inside the graph: as Python strings they would take longer than the model.
    """
    tf = import_tensorflow()
    items = tf.constant(catalogue)

    @tf.function(reduce_retracing=True, autograph=False)  # type: ignore[untyped-decorator]
    def answer(users: Any) -> Any:
        pairs = {
            "user": tf.repeat(users, len(catalogue)),
            "item": tf.tile(items, [tf.shape(users)[0]]),
        }
        return tf.reshape(model(pairs, training=False), (-1, len(catalogue)))

    at_once = max(1, _PAIRS_AT_ONCE // len(catalogue))

    def scores(users: NDArray[Any]) -> NDArray[np.float32]:
        parts = [users[start : start + at_once] for start in range(0, len(users), at_once)]
        return np.concatenate([answer(tf.constant(part)).numpy() for part in parts])

    return scores


def _chosen(splits: list[Split]) -> dict[str, set[str]]:
    """Return the items that each user chose."""
    found: dict[str, set[str]] = {}
    for split in splits:
        for block in split.blocks():
            for user, item in block.features[block.labels == 1][["user", "item"]].tolist():
                found.setdefault(user, set()).add(item)
    return found


def _items(split: Split) -> set[str]:
    return {item for block in split.blocks() for item in block.features["item"]}
