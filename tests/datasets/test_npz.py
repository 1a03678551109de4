from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agiwb.datasets.description import SourceDescription
from agiwb.datasets.formats import load_source
from agiwb.datasets.registry import load_dataset, load_with_notes
from agiwb.datasets.source import say_nothing
from agiwb.errors import ConfigError, DatasetError

X = np.arange(400, dtype=np.uint8).reshape(100, 4)
Y = np.arange(100) % 4


def saved(path: Path, **arrays: Any) -> str:
    np.savez(path / "data.npz", **arrays)
    return str(path / "data.npz")


def test_one_split_is_divided_with_the_classes_kept(tmp_path: Path) -> None:
    data = load_dataset(saved(tmp_path, x=X, y=Y, slice_half=np.arange(100) // 50))
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 65, "validation": 15, "test": 20,
    }  # fmt: skip
    assert data.classes == ("0", "1", "2", "3")
    assert set(data.test.slices["half"]) == {"0", "1"}
    assert np.bincount(data.test.labels).tolist() == [5, 5, 5, 5]


def test_the_users_own_split_is_respected(tmp_path: Path) -> None:
    data = load_dataset(
        saved(tmp_path, x_train=X[:80], y_train=Y[:80], x_test=X[80:], y_test=Y[80:, None])
    )
    assert np.array_equal(data.test.features, X[80:])
    assert np.array_equal(data.test.labels, Y[80:])
    assert len(data.train) + len(data.validation) == 80


def test_the_validation_split_is_drawn_with_the_classes_kept(tmp_path: Path) -> None:
    data = load_dataset(saved(tmp_path, x_train=X, y_train=Y, x_test=X[:8], y_test=Y[:8]))
    assert len(data.validation) == 15
    assert np.ptp(np.bincount(data.validation.labels)) <= 1
    together = np.concatenate([data.train.features, data.validation.features])
    assert np.array_equal(np.sort(together, axis=0), np.sort(X, axis=0))


def test_numbers_are_regressed_on(tmp_path: Path) -> None:
    data = load_dataset(saved(tmp_path, x=X, y=Y / 3))
    assert (data.task, data.kind, data.classes) == ("regression", "array", ())
    assert data.train.labels.dtype == np.float32
    assert np.isin(data.train.labels, np.float32([0, 1 / 3, 2 / 3, 1])).all()


def test_two_classes_are_binary(tmp_path: Path) -> None:
    data = load_dataset(saved(tmp_path, x=X, y=Y % 2))
    assert (data.task, data.classes) == ("binary", ("0", "1"))
    assert load_dataset(saved(tmp_path, x=X, y=Y % 2 == 1)).task == "binary"


def test_columns_of_0_and_1_are_multilabel(tmp_path: Path) -> None:
    labels = np.stack([Y % 2, Y // 2, Y > 0], axis=1)
    data = load_dataset(saved(tmp_path, x=X, y=labels))
    assert (data.task, data.classes) == ("multilabel", ("0", "1", "2"))
    assert data.train.labels.shape == (65, 3)
    assert data.train.labels.dtype == np.float32


def test_one_hot_labels_are_classes_if_the_user_says_so(tmp_path: Path) -> None:
    path = saved(tmp_path, x=X, y=np.eye(4)[Y])
    data, notes = load_with_notes(path)
    assert data.task == "multilabel"
    assert "exactly one label" in notes[0]
    asked = SourceDescription(name="hot", path=Path(path), task="classification", classes="abcd")
    with pytest.raises(DatasetError, match="none of the 1 classes"):
        load_source(asked, say_nothing)
    named = asked.model_copy(update={"classes": ("a", "b", "c", "d")})
    data = load_source(named, say_nothing).data
    assert (data.task, data.classes) == ("classification", ("a", "b", "c", "d"))
    assert np.array_equal(data.train.labels, data.train.features[:, 0] // 4 % 4)


def test_images_are_told_by_their_shape_and_sequences_are_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.random.default_rng(0).random((100, 6, 3)), y=Y)
    assert load_dataset(path).kind == "image"
    asked = SourceDescription(name="steps", path=Path(path), kind="sequence")
    data = load_source(asked, say_nothing).data
    assert (data.kind, data.feature_shape) == ("sequence", (6, 3))
    with pytest.raises(ConfigError, match="`kind` cannot be table"):
        load_source(asked.model_copy(update={"kind": "table"}), say_nothing)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    before = load_dataset(saved(tmp_path, x=X, y=Y)).fingerprint
    assert load_dataset(saved(tmp_path, x=X + 1, y=Y)).fingerprint != before


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "has no labels: `y` is missing among x"),
        ({"y": Y}, "has no features: `x_train` is missing"),
        ({"x": X, "y": Y[:50]}, "`x` has 100 examples and `y` 50"),
        ({"x": X[:0], "y": Y[:0]}, "`x` has 0 examples"),
        ({"x": X, "y": Y.astype(object)}, "not a readable"),
        ({"x": X, "y": Y.astype(complex)}, "`y` holds complex128"),
        ({"x": X, "y": np.where(Y == 3, np.nan, Y)}, "row 3 of `y`, the label is missing"),
        ({"x": X, "y": np.where(Y == 3, np.inf, Y)}, "row 3 of `y`, the label is infinite"),
        ({"x": X, "y": Y * 0}, "All labels are `0`"),
        ({"x": X, "y": np.stack([Y, Y], 1)}, "row 2 of `y`, the label `0` is 2"),
        ({"x": X.astype(str), "y": Y}, "`x` holds <U"),
        ({"x": X, "y": Y - 1}, "row 0 of `y`, the label is -1"),
        ({"x": np.where(X == 9, np.nan, X), "y": Y}, "NaN or infinity in row 2"),
        ({"x": X[:6], "y": Y[:6]}, "cannot be split by class"),
        ({"x": np.float32(3), "y": Y}, "`x` holds float32"),
        ({"x": X * 1e39, "y": Y}, "NaN or infinity in row"),
        ({"x": X, "y": Y * 1000}, "a label is 3000, which would make 3001 classes"),
        ({"x": X, "y": Y, "slice_half": Y[:9]}, "slice column `half` has shape"),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y},
            "the splits have examples of shapes",
        ),
        (
            {"x_train": X, "y_train": Y % 3, "x_test": X, "y_test": Y},
            "row 3 of `y_test`, the label `3` is none of the 3 classes",
        ),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y, "slice_half_test": Y},
            "not every split has the same slice columns",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        load_dataset(saved(tmp_path, **arrays))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04truncated"])
def test_a_corrupt_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"data\.npz is not a readable \.npz"):
        load_dataset(str(path))


def test_code_inside_a_file_is_not_run(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.array([{"a": 1}] * 100, dtype=object), y=Y)
    with pytest.raises(DatasetError, match="not a readable"):
        load_dataset(path)


def test_a_misspelt_name_gets_the_nearest() -> None:
    with pytest.raises(DatasetError, match="Did you mean `digits`"):
        load_dataset("digit")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(DatasetError, match=r"no file .*/missing\.npz"):
        load_dataset("missing.npz")
