from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from agiwb.datasets.builtin import BUILTIN, load_builtin
from agiwb.datasets.dataset import CLASSIFYING
from agiwb.datasets.registry import load_dataset


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "scale", "examples"),
    [("digits", (8, 8), 16.0, 1797), ("mnist5k", (28, 28), 255.0, 5000)],
)
def test_an_embedded_data_set_is_whole(
    name: str, shape: tuple[int, ...], scale: float, examples: int
) -> None:
    data = load_dataset(name)
    assert data.feature_shape == shape
    assert sum(len(split) for split in data.splits.values()) == examples
    assert (data.kind, data.task) == ("image", "classification")
    assert data.train.features.dtype == np.float32
    assert max(split.features.max() for split in data.splits.values()) == scale
    assert len(data.classes) == 10
    for split in data.splits.values():
        shares = np.bincount(split.labels) / len(split)
        assert np.abs(shares - 0.1).max() < 0.02
        assert set(split.slices["stroke_weight"]) == {"light", "medium", "heavy"}


def test_splits_share_no_example_and_are_the_same_each_time() -> None:
    data = load_dataset("digits")
    seen = [split.features.reshape(len(split), -1) for split in data.splits.values()]
    unique = np.unique(np.concatenate(seen), axis=0)
    assert len(unique) == 1797  # digits has no two equal images
    load_builtin.cache_clear()
    assert load_dataset("digits").fingerprint == data.fingerprint


def test_the_fingerprint_sees_every_change() -> None:
    data = load_dataset("digits")
    features = data.test.features.copy()
    features[5, 3, 3] += 1
    test = dataclasses.replace(data.test, features=features)
    assert dataclasses.replace(data, test=test).fingerprint != data.fingerprint
    labels = np.roll(data.train.labels, 1)
    train = dataclasses.replace(data.train, labels=labels)
    assert dataclasses.replace(data, train=train).fingerprint != data.fingerprint


@pytest.mark.parametrize(
    ("name", "examples", "columns", "classes"),
    [
        ("breast_cancer", 569, 30, ("benign", "malignant")),
        ("wine", 178, 13, ("class_0", "class_1", "class_2")),
        ("iris", 150, 4, ("setosa", "versicolor", "virginica")),
        ("diabetes", 442, 10, ()),
    ],
)
def test_an_embedded_table_has_named_columns(
    name: str, examples: int, columns: int, classes: tuple[str, ...]
) -> None:
    data = load_dataset(name)
    assert sum(len(split) for split in data.splits.values()) == examples
    assert len(data.columns) == columns
    assert data.classes == classes
    assert (data.kind, data.task) == (BUILTIN[name].kind, BUILTIN[name].task)
    assert {data.train.features.dtype[column] for column in data.columns} == {np.dtype("f4")}
    if data.task in CLASSIFYING:
        overall = np.bincount(np.concatenate([part.labels for part in data.splits.values()]))
        shares = [np.bincount(part.labels) / len(part) for part in data.splits.values()]
        assert np.abs(np.array(shares) - overall / overall.sum()).max() < 0.03
    else:
        assert data.train.labels.dtype == np.float32


def test_the_second_class_of_tumours_is_the_malignant_one() -> None:
    data = load_dataset("breast_cancer")
    assert sum((part.labels == 1).sum() for part in data.splits.values()) == 212


def test_diabetes_is_in_its_own_units_and_sliced_by_sex() -> None:
    data = load_dataset("diabetes")
    assert data.train.features["age"].min() >= 18
    assert set(data.test.slices) == {"sex"}
    assert set(data.test.slices["sex"]) == {"1", "2"}
