from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from agiwb.datasets.dataset import Split
from agiwb.training.pipeline import (
    evaluation_batches,
    model_inputs,
    model_targets,
    steps_in_epoch,
    training_batches,
)

pytestmark = pytest.mark.slow

NUMBERED = Split(np.arange(10, dtype=np.float32)[:, None], np.arange(10))


def seen(epochs: range, seed: int = 0) -> list[list[int]]:
    batches = training_batches(NUMBERED, 4, seed, epochs)
    return [labels.numpy().tolist() for _, labels in batches]


def test_each_epoch_has_every_example_once_in_another_order() -> None:
    batches = seen(range(2))
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    first, second = (list(chain(*part)) for part in (batches[:3], batches[3:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert first != list(range(10))


def test_a_training_that_begins_later_sees_the_same_batches() -> None:
    assert seen(range(3))[6:] == seen(range(2, 3))
    assert seen(range(1), seed=1) != seen(range(1), seed=2)


def test_features_and_labels_stay_together() -> None:
    for features, labels in training_batches(NUMBERED, 3, 7, range(1)):
        assert features.numpy()[:, 0].tolist() == labels.numpy().tolist()


def test_evaluation_is_in_order() -> None:
    batches = list(evaluation_batches(NUMBERED, 4))
    assert np.concatenate([labels for _, labels in batches]).tolist() == list(range(10))
    assert steps_in_epoch(NUMBERED, 4) == len(batches) == 3


def test_a_table_goes_in_by_its_columns_and_numbers_become_a_column() -> None:
    rows = np.array([(1.5, "a"), (2.5, "b")], dtype=[("size", "f4"), ("kind", object)])
    inputs = model_inputs(rows)
    assert inputs["size"].tolist() == [1.5, 2.5]
    assert inputs["kind"].tolist() == ["a", "b"]
    assert model_targets(np.zeros(2, np.float32)).shape == (2, 1)
    assert model_targets(np.zeros(2, np.int64)).shape == (2,)
    ((given, labels),) = evaluation_batches(Split(rows, np.array([0, 1])))
    assert given["kind"].numpy().tolist() == [b"a", b"b"]
    assert labels.numpy().tolist() == [0, 1]
