from __future__ import annotations

import dataclasses

import numpy as np
import pytest

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
    load_dataset.__globals__["_load_builtin"].cache_clear()
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
