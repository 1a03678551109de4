from __future__ import annotations

import math

import numpy as np
import pytest

from agiwb.errors import InputError
from agiwb.metrics import ranking
from agiwb.metrics.ranking import ranking_scores

NOTHING = np.array([], dtype=np.intp)


def test_ranking_by_hand() -> None:
    # The first user's positives have ranks 2 and 4, the second one's rank 1.
    scores = np.array([[0.9, 0.8, 0.7, 0.6, 0.1], [0.2, 0.1, 0.9, 0.4, 0.3]])
    found = ranking_scores(scores, [np.array([1, 3]), np.array([2])], [NOTHING, NOTHING], k=3)
    first_ndcg = (1 / math.log2(3)) / (1 + 1 / math.log2(3))
    assert found == pytest.approx(
        {
            "recall_at_3": (1 / 2 + 1) / 2,
            "ndcg_at_3": (first_ndcg + 1) / 2,
            "hit_rate_at_3": 1,
            "mrr": (1 / 2 + 1) / 2,
        }
    )


def test_seen_items_take_no_rank() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.6]])
    found = ranking_scores(scores, [np.array([2])], [np.array([0, 1])], k=1)
    assert found == {"recall_at_1": 1, "ndcg_at_1": 1, "hit_rate_at_1": 1, "mrr": 1}


def test_a_positive_that_was_seen_is_none() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1]])
    found = ranking_scores(scores, [np.array([0]), np.array([1])], [np.array([0]), NOTHING], k=1)
    assert found["mrr"] == pytest.approx(1 / 2)  # of the second user alone


@pytest.mark.parametrize("at_once", [2_000_000, 50])
def test_against_sklearn(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.metrics import ndcg_score

    monkeypatch.setattr(ranking, "_SCORES_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    scores = random.random((12, 30))
    positives = [random.choice(30, random.integers(1, 9), replace=False) for _ in range(12)]
    seen = [random.choice(30, 5, replace=False) for _ in range(12)]
    expected = []
    for row, own, known in zip(scores, positives, seen, strict=True):
        left = np.setdiff1d(np.arange(30), known)
        if len(truth := np.isin(left, own)) and truth.any():
            expected.append(ndcg_score(truth[None], row[left][None], k=10))
    found = ranking_scores(scores, positives, seen, k=10)
    assert found["ndcg_at_10"] == pytest.approx(np.mean(expected))
    by_function = ranking_scores(lambda users: scores[users], positives, seen, k=10, items=30)
    assert by_function == found


def test_equal_scores_earn_what_guessing_does() -> None:
    # 400 users, one positive each among 50 items: a tenth of the list is a tenth of the chance.
    positives = [np.array([user % 50]) for user in range(400)]
    found = ranking_scores(np.zeros((400, 50)), positives, [NOTHING] * 400, k=5)
    assert found["recall_at_5"] == pytest.approx(0.1)
    assert found["mrr"] == pytest.approx(np.mean(1 / np.arange(1, 51)))


def test_more_places_than_items() -> None:
    found = ranking_scores(np.array([[0.1, 0.2]]), [np.array([0, 1])], [NOTHING], k=10)
    assert found["recall_at_10"] == 1
    assert found["ndcg_at_10"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("scores", "positives", "seen", "message"),
    [
        (np.zeros((2, 3)), [NOTHING], [NOTHING], "positives for 1 users.*scores for 2"),
        (np.zeros(3), [np.array([0])], [NOTHING], "not one row"),
        (np.zeros((1, 3)), [NOTHING], [NOTHING], "No user has an item"),
        (np.array([[np.nan, 0]]), [np.array([0])], [NOTHING], "not a number"),
        (np.zeros((1, 3)), [np.array([5])], [NOTHING], "index 5, and there are 3"),
        (lambda users: np.zeros((len(users), 3)), [np.array([0])], [NOTHING], "`items` is needed"),
    ],
)
def test_what_cannot_be_ranked_is_said(
    scores: ranking.Scores, positives: ranking.Items, seen: ranking.Items, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ranking_scores(scores, positives, seen)
