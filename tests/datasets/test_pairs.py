"""Interactions: ratings as they are, and negatives drawn where only choices are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agiwb.datasets.dataset import Dataset
from agiwb.datasets.description import SourceDescription
from agiwb.datasets.formats import load_source
from agiwb.datasets.pairs import draw_negatives
from agiwb.datasets.source import Source, say_nothing
from agiwb.errors import DatasetError


def choices() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user_id": rng.integers(0, 12, 150), "itemId": rng.integers(0, 60, 150)})
    return frame.drop_duplicates(ignore_index=True)


def read(frame: pd.DataFrame, path: Path, **options: Any) -> Source:
    frame.to_csv(path / "a.csv", index=False)
    return load_source(SourceDescription(name="a", path=path / "a.csv", **options), say_nothing)


def pairs(data: Dataset, label: int) -> list[tuple[str, str]]:
    return [
        tuple(row)
        for part in data.splits.values()
        for row in part.features[part.labels == label].tolist()
    ]


def test_negatives_are_drawn_and_never_a_known_choice(tmp_path: Path) -> None:
    frame = choices()
    source = read(frame, tmp_path, negatives=2)
    data = source.data
    assert (data.kind, data.task, data.columns) == ("pairs", "ranking", ("user", "item"))
    assert data.train.labels.dtype == np.float32
    known = set(frame.astype(str).itertuples(index=False, name=None))
    assert set(pairs(data, 1)) == known
    negatives = pairs(data, 0)
    assert len(negatives) == len(set(negatives)) == 2 * len(frame)
    assert not set(negatives) & known
    assert {item for _, item in negatives} <= set(frame.itemId.astype(str))
    assert "drawn as negatives (seed 0)" in source.notes[0]


def test_equal_seeds_draw_equal_negatives(tmp_path: Path) -> None:
    first, again, other = (read(choices(), tmp_path, seed=s).data.fingerprint for s in (1, 1, 2))
    assert first == again != other


def test_a_user_who_chose_nearly_all_gets_fewer() -> None:
    users = np.array(["a"] * 9 + ["b"], dtype=object)
    items = np.array([*"abcdefghi", "j"], dtype=object)
    rows, drawn = draw_negatives(users, items, 3, seed=0)
    assert drawn[rows < 9].tolist() == ["j"]
    assert len(set(drawn[rows == 9])) == 3
    assert "j" not in drawn[rows == 9]


def test_a_large_catalogue_is_drawn_from_evenly() -> None:
    items = np.array([f"{n:04}" for n in range(2000)], dtype=object)
    users = np.array([f"u{n % 200}" for n in range(2000)], dtype=object)
    rows, drawn = draw_negatives(users, items, 5, seed=0)
    chosen = set(zip(users, items, strict=True))
    taken = list(zip(users[rows], drawn, strict=True))
    assert len(taken) == len(set(taken)) == 10_000
    assert not chosen & set(taken)
    assert drawn.astype(int).mean() == pytest.approx(999.5, abs=4 * 577 / 100)


def test_a_negative_is_in_the_split_of_its_choice(tmp_path: Path) -> None:
    frame = choices().assign(split=lambda f: np.where(f.user_id < 8, "train", "test"))
    data = read(frame, tmp_path).data
    assert set(data.test.features["user"]) == {"8", "9", "10", "11"}
    assert data.test.labels.mean() == pytest.approx(0.5)


def test_ratings_are_taken_as_they_are(tmp_path: Path) -> None:
    frame = choices().assign(rating=lambda f: f.itemId % 9 / 2, device="phone")
    frame.loc[::3, "device"] = "desk"
    data = read(frame, tmp_path).data
    assert len(pairs(data, 0)) == (frame.rating == 0).sum()
    assert sum(len(part) for part in data.splits.values()) == len(frame)
    assert set(data.train.slices["device"]) == {"phone", "desk"}
    same = read(frame.assign(rating=1), tmp_path).data  # a rating that says nothing
    assert len(pairs(same, 0)) == len(frame)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("user_id", None, "row 7, the column `user_id` is empty"),
     ("itemId", None, "row 7, the column `itemId` is empty"),
     ("rating", None, "row 7, the label is missing"),
     ("rating", "good", "row 7, the label is 'good', which is not a number")],
)  # fmt: skip
def test_a_bad_row_is_named(tmp_path: Path, column: str, value: Any, message: str) -> None:
    frame = choices().assign(rating=lambda f: f.itemId % 5).astype(object)
    frame.loc[5, column] = value
    with pytest.raises(DatasetError, match=rf"a\.csv, {message}"):
        read(frame, tmp_path)


def test_a_missing_column_of_pairs_is_named(tmp_path: Path) -> None:
    frame = choices().rename(columns={"itemId": "film"})
    with pytest.raises(DatasetError, match="has no column `item`"):
        read(frame, tmp_path, kind="pairs")
    assert read(frame, tmp_path, item="film").data.kind == "pairs"
