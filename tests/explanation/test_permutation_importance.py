from __future__ import annotations

import numpy as np
import pytest

from agiwb.datasets.columns import as_structured
from agiwb.datasets.dataset import Dataset, Split
from agiwb.explanation.columns import Columns
from agiwb.explanation.importance import mean_interval, most_important
from agiwb.explanation.permutation import permutation_drops
from agiwb.metrics.task_score import score

COUNT = 1500


def made_up() -> tuple[Dataset, Columns]:
    """Numbers and a colour; the answer rests on ``strong``, a little on ``colour``."""
    draw = np.random.default_rng(0)
    features = as_structured(
        {
            "strong": draw.normal(size=COUNT).astype(np.float32),
            "idle": np.where(draw.random(COUNT) < 0.1, np.nan, 1).astype(np.float32),
            "colour": draw.choice(["red", "blue", ""], COUNT).astype(object),
        }
    )
    labels = (answer(features)[:, 1] + draw.normal(size=COUNT) * 0.1 > 0.5).astype(np.int64)
    split = Split(features, labels)
    data = Dataset("made_up", ("no", "yes"), 1.0, split, split, split, task="binary", kind="table")
    return data, Columns.of(data, features)


def answer(features: np.ndarray) -> np.ndarray:
    total = 3 * features["strong"] + np.where(features["colour"] == "red", 1.0, 0.0)
    yes = 1 / (1 + np.exp(-total))
    return np.stack([1 - yes, yes], axis=1).astype(np.float32)


def test_columns_go_to_numbers_and_back() -> None:
    data, columns = made_up()
    again = columns.features(columns.matrix(data.test.features))
    assert columns.names == ("strong", "idle", "colour")
    for name in columns.names:
        assert again[name].dtype == data.test.features[name].dtype
        pairs = zip(again[name], data.test.features[name], strict=True)
        assert all(one == other or (one != one and other != other) for one, other in pairs)  # noqa: PLR0124


def drops(metric: str, groups: np.ndarray | None = None, **options: int) -> np.ndarray:
    data, columns = made_up()
    everyone = np.ones((1, COUNT), bool) if groups is None else groups
    return permutation_drops(
        answer, columns, data.test.features, data.test.labels, metric, everyone, **options
    )


def test_what_the_answer_rests_on_is_found() -> None:
    strong, idle, colour = drops("accuracy", repeats=5)[:, 0].mean(axis=0)
    assert strong > 0.3
    assert idle == 0
    assert 0 < colour < strong / 3
    assert np.array_equal(drops("accuracy", repeats=2), drops("accuracy", repeats=2))


def test_against_sklearn() -> None:
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import accuracy_score

    data, columns = made_up()

    class Fitted:
        def fit(self) -> None: ...

        def predict(self, matrix: np.ndarray) -> np.ndarray:
            return answer(columns.features(matrix)).argmax(axis=1)

    expected = permutation_importance(
        Fitted(), columns.matrix(data.test.features), data.test.labels, n_repeats=20,
        scoring=lambda fitted, x, y: accuracy_score(y, fitted.predict(x)), random_state=1,
    )  # fmt: skip
    found, low, high = mean_interval(drops("accuracy", repeats=20)[:, 0], of_one=True)
    assert found == pytest.approx(expected.importances_mean, abs=0.02)
    assert (low <= expected.importances_mean).all()
    assert (expected.importances_mean <= high).all()


def test_each_group_is_scored_by_itself() -> None:
    data, _ = made_up()
    red = data.test.features["colour"] == "red"
    groups = np.stack([np.ones(COUNT, bool), red, np.zeros(COUNT, bool)])
    found = drops("accuracy", groups, repeats=3)
    assert found.shape == (3, 3, 3)
    assert np.isfinite(found[:, :2]).all()
    assert np.isnan(found[:, 2]).all()


def test_scores() -> None:
    from sklearn.metrics import roc_auc_score

    labels = np.array([0, 1, 1, 0])
    answers = np.array([[0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.3, 0.7]], np.float32)
    assert score("accuracy", labels, answers) == 0.5
    assert score("rmse", np.array([1.0, 3.0]), np.array([[2.0], [1.0]])) == pytest.approx(2.5**0.5)
    truths = np.stack([labels, [1, 1, 1, 1]], axis=1)  # no area under the second
    assert score("auc", truths, answers) == roc_auc_score(labels, answers[:, 0])
    assert np.isnan(score("auc", truths[:, 1:], answers[:, 1:]))


def test_a_loss_of_quality_is_positive_also_where_lower_is_better() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 2)).astype(np.float32)
    split = Split(x, (5 * x[:, 0]).astype(np.float32))
    data = Dataset("line", (), 1.0, split, split, split, task="regression")
    found = permutation_drops(
        lambda features: 5 * features[:, :1], Columns.of(data, x), x, split.labels, "rmse",
        np.ones((1, 400), bool), repeats=5,
    )  # fmt: skip
    # Two independent draws of 5x differ by 5 times the square root of twice the variance.
    assert found[:, 0, 0].mean() == pytest.approx(5 * 2**0.5, rel=0.1)
    assert not found[:, 0, 1].any()


def test_the_largest_come_first_and_what_is_asked_for_is_added() -> None:
    figures = tuple(np.array([0.1, np.nan, 0.3, 0.2]) for _ in range(3))
    found = most_important(("a", "b", "c", "d"), figures, 2, also=("a",))
    assert [one.feature for one in found] == ["c", "d", "a"]


def test_the_interval_is_students() -> None:
    samples = np.array([[1.0, 5.0], [2.0, np.nan], [3.0, np.nan]])
    mean, low, high = mean_interval(samples)
    assert list(mean) == [2, 5]
    assert low[0] == pytest.approx(2 - 4.302653 / 3**0.5)  # t with 2 degrees of freedom
    assert high[0] == pytest.approx(2 + 4.302653 / 3**0.5)
    assert np.isnan(low[1])
