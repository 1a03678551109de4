"""Data sets with one thing wrong each: the report finds it, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Kind, Split, Task, stratified_splits
from agiwb.datasets.quality.examine import examine
from agiwb.datasets.quality.leakage import skill
from agiwb.datasets.registry import load_dataset

ROWS = 2000
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 2, ROWS)


def table(**columns: Any) -> NDArray[Any]:
    generator = np.random.default_rng(1)
    found = {
        "age": generator.normal(40, 10, ROWS),
        "height": generator.normal(170, 10, ROWS),
        "town": generator.choice(["Rome", "Bonn"], ROWS).astype(object),
        **columns,
    }
    rows = np.empty(ROWS, [(n, "f4" if v.dtype.kind in "fi" else "O") for n, v in found.items()])
    for name, values in found.items():
        rows[name] = values
    return rows


def dataset(
    features: NDArray[Any],
    labels: NDArray[Any] = LABELS,
    kind: Kind = "table",
    task: Task = "binary",
    scale: float = 1.0,
) -> Dataset:
    parts = stratified_splits(Split(features, labels), (0.15, 0.2))
    classes = ("no", "yes") if task == "binary" else ()
    return Dataset("data", classes, scale, *parts, task=task, kind=kind, sample_rate_hz=8000)


def only_finding(data: Dataset) -> str:
    findings = examine(data).findings
    assert len(findings) == 1, findings
    return findings[0]


def test_clean_data_have_no_findings() -> None:
    assert examine(dataset(table())).findings == ()
    report = examine(load_dataset("digits"))
    assert report.findings == ()
    assert report.examples == report.examined
    assert sum(counts["train"] for counts in report.classes.values()) == report.examples["train"]


def test_a_column_that_gives_the_label_away_is_found() -> None:
    leak = LABELS + RANDOM.normal(0, 0.01, ROWS)
    assert "`refund` alone predicts the label nearly perfectly" in only_finding(
        dataset(table(refund=leak))
    )
    words = np.array(["kept", "left"], dtype=object)[LABELS]
    assert "`status` alone predicts" in only_finding(dataset(table(status=words)))
    target = RANDOM.normal(size=ROWS).astype(np.float32)
    data = dataset(table(twice=2 * target + 1), target, task="regression")
    assert "`twice` alone predicts" in only_finding(data)


def test_skill_is_nought_for_chance_and_one_for_a_copy() -> None:
    assert skill(RANDOM.normal(size=ROWS).astype(np.float32), LABELS) < 0.1
    assert skill(LABELS.astype(np.float32), LABELS) == 1
    unique = np.array([f"id {row}" for row in range(ROWS)], dtype=object)
    assert skill(unique, LABELS) == 0
    rare = (np.arange(ROWS) % 100 == 0).astype(np.int64)
    assert skill(RANDOM.normal(size=ROWS).astype(np.float32), rare) < 0.1  # 99 % is no skill


def test_copies_within_and_across_splits_are_counted() -> None:
    clean = dataset(table())
    test = clean.test.take(np.arange(len(clean.test)))
    test.features[7], test.labels[7] = clean.train.features[30], clean.train.labels[30]
    train = clean.train.take(np.arange(len(clean.train)))
    train.features[11], train.labels[11] = train.features[5], 1 - train.labels[5]
    train.features[12], train.labels[12] = train.features[6], train.labels[6]
    data = Dataset("data", ("no", "yes"), 1.0, train, clean.validation, test,
                   task="binary", kind="table")  # fmt: skip
    report = examine(data)
    found = report.duplicates
    assert found.across["train and test"] == 1
    assert found.rows["train and test"] == (30, 7)
    assert found.within == {"train": 1, "validation": 0, "test": 0}
    assert found.rows["train"] == (6, 12)
    assert found.disagreeing == 2
    words = " ".join(report.findings)
    assert "1 of 400 test examples are also in train (row 7 of test is row 30 of train" in words
    assert "2 examples have an equal with another label" in words


@pytest.mark.parametrize("kind", ["image", "text"])
def test_copies_of_images_and_texts_are_counted(kind: Kind) -> None:
    features = RANDOM.random((ROWS, 4, 4)).astype(np.float32)
    if kind == "text":
        features = np.array([f"text {row}" for row in range(ROWS)], dtype=object)
    features[1000:1010] = features[:10]
    found = examine(dataset(features, kind=kind)).duplicates
    assert sum(found.within.values()) + sum(found.across.values()) == 10


def test_minus_zero_is_zero() -> None:
    features = np.zeros((ROWS, 2), np.float32)
    features[:, 0] = np.arange(ROWS) // 2
    features[::2, 1] = -0.0
    found = examine(dataset(features, kind="array")).duplicates
    assert sum(found.within.values()) + sum(found.across.values()) == ROWS // 2


@pytest.mark.parametrize(
    ("column", "finding"),
    [
        (np.where(np.arange(ROWS) % 4, RANDOM.normal(size=ROWS), np.nan), "missing of `odd`"),
        (np.ones(ROWS), "The same value is in each training example: `odd`"),
        (np.full(ROWS, "x", dtype=object), "The same value is in each training example: `odd`"),
        ((np.arange(ROWS) % 500 == 0).astype(float), "share one value of `odd`"),
    ],
)
def test_columns_that_tell_little_are_named(column: NDArray[Any], finding: str) -> None:
    assert finding in only_finding(dataset(table(odd=column)))


def test_infinite_values_are_counted() -> None:
    odd = RANDOM.normal(size=ROWS)
    odd[3] = np.inf
    report = examine(dataset(table(odd=odd)))
    assert any("infinite values in `odd`" in finding for finding in report.findings)
    assert {column.name: column.infinite for column in report.columns}["odd"] == 1


def test_a_split_of_another_source_is_noticed() -> None:
    clean = dataset(table())
    test = clean.test.take(np.arange(len(clean.test)))
    test.features["age"] += 200
    test.features["town"][:] = "Oslo"
    data = Dataset("data", ("no", "yes"), 1.0, clean.train, clean.validation, test,
                   task="binary", kind="table")  # fmt: skip
    finding = only_finding(data)
    assert "Splits differ from train in `age`, `town`" in finding
    assert "100.0% of the test examples" in finding


def test_rare_and_missing_classes_are_named() -> None:
    labels = np.zeros(ROWS, np.int64)
    labels[:40] = 1
    finding = only_finding(dataset(table(), labels))
    assert "The class `no` has 49 times as many training examples as `yes`" in finding
    clean = dataset(table())
    kept = clean.test.take(np.flatnonzero(clean.test.labels == 0))
    data = Dataset("data", ("no", "yes"), 1.0, clean.train, clean.validation, kept,
                   task="binary", kind="table")  # fmt: skip
    assert "The test split has no example of `yes`" in only_finding(data)


def test_targets_are_described_and_extremes_named() -> None:
    target = RANDOM.normal(100, 5, ROWS).astype(np.float32)
    report = examine(dataset(table(), target, task="regression"))
    assert report.findings == ()
    assert report.targets["train"].median == pytest.approx(100, abs=1)
    target[:3] = 1e6
    assert "Targets reach from" in only_finding(dataset(table(), target, task="regression"))


def test_empty_texts_silence_clipping_and_blank_images_are_counted() -> None:
    texts = np.array([f"text number {row}" for row in range(ROWS)], dtype=object)
    texts[5] = "  "
    report = examine(dataset(texts, kind="text"))
    assert "are empty" in report.findings[0]
    assert report.measures["words, median"]["train"] == 3

    sounds = (0.3 * RANDOM.normal(size=(ROWS, 400))).clip(-0.9, 0.9).astype(np.float32)
    assert examine(dataset(sounds, kind="audio")).findings == ()
    sounds[9], sounds[10] = 1e-5 * sounds[9], np.sign(sounds[10])
    words = " ".join(examine(dataset(sounds, kind="audio")).findings)
    assert "are silent" in words
    assert "are clipped" in words

    images = (255 * RANDOM.random((ROWS, 5, 5))).astype(np.float32)
    images[3], images[4, 0, 0] = 7, 300
    words = " ".join(examine(dataset(images, kind="image", scale=255)).findings)
    assert "have the same value everywhere" in words
    assert "have values below 0 or above the scale" in words


def test_large_splits_are_looked_at_in_part_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agiwb.datasets.quality.examine.MOST_EXAMPLES", 500)
    report = examine(dataset(table()))
    assert report.examined == {"train": 500, "validation": 300, "test": 400}
    assert "500 of 1,300 in train" in report.findings[-1]
    assert sum(counts["train"] for counts in report.classes.values()) == 1300


def test_data_on_disk_are_examined_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    from agiwb.datasets.description import SourceDescription
    from agiwb.datasets.parquet import load_parquet
    from agiwb.datasets.source import say_nothing

    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "workspace"))
    rows = {"age": RANDOM.normal(size=ROWS), "label": np.array(["no", "yes"])[LABELS]}
    rows["leak"] = LABELS * 2.0
    parquet.write_table(pa.table(rows), tmp_path / "data.parquet", row_group_size=100)
    description = SourceDescription(name="data", path=tmp_path / "data.parquet", stream="always")
    report = examine(load_parquet(description, say_nothing).data)
    assert "`leak` alone predicts" in report.findings[0]
    assert report.examined == report.examples
    assert report.duplicates.within == {"train": 0, "validation": 0, "test": 0}
