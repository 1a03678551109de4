"""Data sets that Keras downloads: here with arrays of the shapes it documents, not downloaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agiwb.datasets.builtin import BUILTIN, load_builtin
from agiwb.datasets.builtin_texts import texts_from_numbers
from agiwb.errors import DatasetError

pytestmark = pytest.mark.slow

DOWNLOADED = [name for name, entry in BUILTIN.items() if not entry.is_embedded]
TRAIN, TEST = 200, 92


def as_keras_gives_them(name: str, count: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(count)
    classes = {"cifar100": 100, "imdb": 2, "reuters": 46}.get(name, 10)
    labels = np.arange(count) % classes
    if name == "california_housing":
        return rng.normal(100, 10, (count, 8)), rng.random(count)
    if name in {"imdb", "reuters"}:
        words = [[1, *rng.integers(4, 7, 5)] for _ in range(count)]
        return np.array([list(map(int, text)) for text in words] + [[]], object)[:-1], labels
    if name.startswith("cifar"):
        return rng.integers(0, 256, (count, 32, 32, 3), np.uint8), labels.astype("u1")[:, None]
    return rng.integers(0, 256, (count, 28, 28), np.uint8), labels.astype("u1")


@pytest.mark.parametrize("name", DOWNLOADED)
def test_it_becomes_a_data_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    module = getattr(keras.datasets, name)
    parts = as_keras_gives_them(name, TRAIN), as_keras_gives_them(name, TEST)
    monkeypatch.setattr(module, "load_data", lambda: parts)
    if hasattr(module, "get_word_index"):
        monkeypatch.setattr(module, "get_word_index", lambda: {"a": 1, "film": 2, "good": 3})
    load_builtin.cache_clear()
    data = load_builtin(name)
    load_builtin.cache_clear()
    assert (data.kind, data.task) == (BUILTIN[name].kind, BUILTIN[name].task)
    sizes = {split: len(part) for split, part in data.splits.items()}
    assert sizes == {"train": 170, "validation": 30, "test": TEST}
    if data.task == "regression":
        assert data.columns[0] == "longitude"
        assert data.train.labels.dtype == np.float32
        assert data.test.features["median_income"] == pytest.approx(parts[1][0][:, 7])
        return
    assert data.train.labels.dtype == np.int64
    assert np.array_equal(data.test.labels, np.ravel(parts[1][1]))
    assert len(data.classes) == {"cifar100": 100, "imdb": 2, "reuters": 46}.get(name, 10)
    assert len(set(data.classes)) == len(data.classes)
    if data.kind == "text":
        assert set(data.test.features[0].split()) <= {"a", "film", "good"}
    else:
        assert np.array_equal(data.test.features, parts[1][0])
        assert data.test.features.dtype == np.float32


def test_numbers_become_words_again() -> None:
    texts = texts_from_numbers([[1, 5, 4, 6, 2], [1]], {"the": 1, "film": 2, "good": 3})
    assert texts.tolist() == ["film the good [UNK]", ""]


@pytest.mark.parametrize("name", DOWNLOADED)
def test_a_failed_download_is_said_in_one_paragraph(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    def fail() -> None:
        raise Exception("URL fetch failure: no route to host")  # noqa: TRY002  as Keras does

    monkeypatch.setattr(getattr(keras.datasets, name), "load_data", fail)
    load_builtin.cache_clear()
    with pytest.raises(DatasetError, match=f"{name} could not be downloaded: URL fetch failure"):
        load_builtin(name)
