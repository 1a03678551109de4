"""Data sets of every kind as pictures, tables and pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Kind, Split, Task, stratified_splits
from agiwb.datasets.quality.examine import examine
from agiwb.datasets.registry import load_dataset
from agiwb.reporting.datasets import (
    class_table,
    dataset_page,
    plot_dataset,
    quality_table,
    write_dataset_page,
)
from agiwb.reporting.picture import Picture

ROWS = 200
RANDOM = np.random.default_rng(0)
CLASSES = ("no", "<b>$x_$</b>")


def structured(columns: dict[str, NDArray[Any]]) -> NDArray[Any]:
    rows = np.empty(ROWS, [(n, "f4" if v.dtype.kind == "f" else "O") for n, v in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    return rows


def words(count: int) -> NDArray[Any]:
    return np.array([f"w{number}" for number in RANDOM.geometric(0.1, count)], dtype=object)


FEATURES: dict[Kind, NDArray[Any]] = {
    "image": (255 * RANDOM.random((ROWS, 6, 6, 3))).astype(np.float32),
    "array": RANDOM.normal(size=(ROWS, 9)).astype(np.float32),
    "sequence": RANDOM.normal(size=(ROWS, 20, 2)).astype(np.float32),
    "audio": RANDOM.uniform(-1, 1, (ROWS, 400)).astype(np.float32),
    "text": np.array([" ".join(words(5)) for _ in range(ROWS)], dtype=object),
    "table": structured(
        {"age": RANDOM.normal(size=ROWS), "$a_$": words(ROWS), "gap": np.full(ROWS, np.nan)}
    ),
    "pairs": structured({"user": words(ROWS), "item": words(ROWS)}),
}
LABELS: dict[Task, NDArray[Any]] = {
    "binary": RANDOM.integers(0, 2, ROWS),
    "regression": RANDOM.normal(size=ROWS).astype(np.float32),
    "multilabel": RANDOM.integers(0, 2, (ROWS, 2)).astype(np.float32),
    "ranking": RANDOM.integers(0, 2, ROWS).astype(np.float32),
}


def dataset(kind: Kind, task: Task = "binary", name: str = "data") -> Dataset:
    parts = stratified_splits(Split(FEATURES[kind], LABELS[task]), (0.15, 0.2))
    classes = CLASSES if task in {"binary", "multilabel"} else ()
    scale = 255.0 if kind == "image" else 1.0
    return Dataset(name, classes, scale, *parts, task=task, kind=kind, sample_rate_hz=8000)


def labels_of(picture: Picture) -> set[str]:
    everywhere = picture.findobj(lambda part: hasattr(part, "get_xlabel"))
    return {axes.get_xlabel() for axes in everywhere} | {axes.get_ylabel() for axes in everywhere}


@pytest.mark.parametrize(
    ("kind", "task", "expected"),
    [
        ("image", "binary", {"class", "examples"}),
        ("array", "regression", {"feature 0", "target"}),
        ("array", "multilabel", {"feature 5", "class"}),
        ("sequence", "binary", {"step (a line for each channel, four at most)"}),
        ("audio", "binary", {"time (s)", "amplitude", "frequency (Hz)"}),
        ("text", "binary", {"words of a text"}),
        ("table", "binary", {"age", "$a_$", "gap"}),
        ("pairs", "ranking", {"users, by rank", "items, by rank"}),
    ],
)
def test_each_kind_is_drawn_with_labelled_axes(kind: Kind, task: Task, expected: set[str]) -> None:
    picture = plot_dataset(dataset(kind, task))
    assert picture.png().startswith(b"\x89PNG")
    assert expected <= labels_of(picture)
    assert (
        picture.alt == f"Examples of data ({kind} for {task}): 130 train, 30 validation, 40 test."
    )


def test_images_of_each_class_are_shown_under_its_name() -> None:
    picture = plot_dataset(load_dataset("digits"))
    shown = [axes.get_title() for axes in picture.axes if axes.get_images()]
    assert set(shown) == {str(digit) for digit in range(10)}
    assert len(shown) == 30


def test_the_tables_say_what_was_measured() -> None:
    table = quality_table(examine(dataset("table")))
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert set(rows) == {"age", "$a_$", "gap"}
    assert rows["gap"]["missing in train"] == "100.0%"
    assert rows["$a_$"]["holds"] == "texts"
    assert [row[0] for row in quality_table(examine(dataset("text"))).rows] == [
        "train", "validation", "test",
    ]  # fmt: skip
    classes = class_table(examine(dataset("image")))
    assert [row[0] for row in classes.rows] == list(CLASSES)
    assert sum(int(row[1]) for row in classes.rows) == 130
    assert "lower quartile" in class_table(examine(dataset("array", "regression"))).columns


def test_the_page_stands_alone_and_says_what_was_found(tmp_path: Path) -> None:
    data = dataset("table", name="<script>alert(1)</script>")
    report = examine(data)
    write_dataset_page(tmp_path / "data.html", data, report, ("<i>left out</i>",))
    page = (tmp_path / "data.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "<script" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;i&gt;left out&lt;/i&gt;" in page
    assert page.count("<img ") == page.count('alt="') == 1
    assert report.findings
    assert "The same value is in each training example: <code>gap</code>" in page
    assert data.fingerprint[:12] in page


def test_clean_data_are_said_to_be_so() -> None:
    assert "Nothing odd was found." in dataset_page(load_dataset("digits"))
