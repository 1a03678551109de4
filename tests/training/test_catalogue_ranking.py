from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agiwb import TrainConfig, load_dataset, train
from agiwb.datasets.columns import as_structured
from agiwb.training.pipeline import model_inputs

pytestmark = pytest.mark.slow

USERS, ITEMS = 24, 30


def choices(path: Path, ratings: tuple[int, int] = (0, 1)) -> str:
    """Write who was offered what: users of even numbers choose even items, the others odd ones."""
    random = np.random.default_rng(0)
    pairs = [(user, item) for user in range(USERS) for item in range(ITEMS)]
    splits = ["train"] * 500 + ["validation"] * 60 + ["test"] * 160
    lines = [
        f"u{user},i{item},{ratings[(user + item + 1) % 2]},{split}"
        for (user, item), split in zip(random.permutation(pairs), splits, strict=True)
    ]
    path.write_text("\n".join(["user,item,rating,split", *lines]))
    return str(path)


CONFIG = {"architecture": "two_tower", "epochs": 12, "units": 8, "learning_rate": 0.05}


def test_test_users_see_a_ranking_of_all_items(workspace: Path, tmp_path: Path) -> None:
    import keras

    path = choices(tmp_path / "choices.csv")
    record = train(TrainConfig(dataset=path, **CONFIG))
    data, model = load_dataset(path), keras.models.load_model(record.file("model.keras"))
    recalls, ranks = [], []
    for user in sorted(set(data.test.features["user"])):
        mine = {name: split.take(np.flatnonzero(split.features["user"] == user))
                for name, split in data.splits.items()}  # fmt: skip
        chosen = {name: set(part.features["item"][part.labels == 1]) for name, part in mine.items()}
        if not chosen["test"]:
            continue
        left = sorted({f"i{i}" for i in range(ITEMS)} - chosen["train"] - chosen["validation"])
        pairs = as_structured({"user": np.array([user] * len(left), object),
                               "item": np.array(left, object)})  # fmt: skip
        scores = np.asarray(model.predict(model_inputs_as_tensors(pairs), verbose=0))[:, 0]
        ranked = [left[i] for i in np.argsort(-scores)]
        recalls.append(len(chosen["test"] & set(ranked[:10])) / len(chosen["test"]))
        ranks.append(1 + min(ranked.index(item) for item in chosen["test"]))
    assert record.metrics["test_recall_at_10"] == pytest.approx(np.mean(recalls))
    assert record.metrics["test_mrr"] == pytest.approx(np.mean(1 / np.array(ranks)))
    assert record.metrics["test_recall_at_10"] > 0.95  # the pattern is learned
    assert 0.9 < record.metrics["test_ndcg_at_10"] <= 1


def test_graded_ratings_have_no_chosen_items(workspace: Path, tmp_path: Path) -> None:
    path = choices(tmp_path / "graded.csv", ratings=(1, 5))
    record = train(TrainConfig(dataset=path, **{**CONFIG, "epochs": 1}))
    assert "test_rmse" in record.metrics
    assert not [name for name in record.metrics if "recall_at" in name or "mrr" in name]


def model_inputs_as_tensors(pairs: np.ndarray) -> dict[str, object]:
    import tensorflow as tf

    return {name: tf.constant(values) for name, values in model_inputs(pairs).items()}
