"""Parquet that stays on disk: the same examples as in memory, and errors that name the row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from agiwb.datasets.dataset import Dataset
from agiwb.datasets.description import SourceDescription, Streaming
from agiwb.datasets.parquet import load_parquet
from agiwb.datasets.source import Source, say_nothing
from agiwb.datasets.streamed_source import is_too_large
from agiwb.datasets.streaming import StreamedSplit, in_memory
from agiwb.errors import ConfigError, DatasetError

ROWS = 600


@pytest.fixture(autouse=True)
def _own_workspace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "workspace"))


def columns(rows: int = ROWS, seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    age = generator.normal(40, 10, rows)
    age[::9] = np.nan
    return {
        "age": age,
        "visits": generator.integers(0, 1000, rows),
        "town": generator.choice(["Rome", "Bonn", "Oslo"], rows),
        "price": [f"{value:.2f}" for value in generator.uniform(1, 9, rows)],
        "label": generator.choice(["no", "yes"], rows),
    }


def written(path: Path, table: dict[str, Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(table), path, **{"row_group_size": 50, **options})
    return path


def loaded(path: Path, stream: Streaming = "always", **options: Any) -> Source:
    description = SourceDescription(name="data", path=path, stream=stream, **options)
    return load_parquet(description, say_nothing)


def read_all(data: Dataset) -> None:
    for split in data.splits.values():
        in_memory(split)


def vectors(rows: int = ROWS, width: int = 5) -> list[list[float]]:
    return np.random.default_rng(0).normal(size=(rows, width)).tolist()


def test_a_table_on_disk_has_the_examples_it_has_in_memory(tmp_path: Path) -> None:
    words = np.array(["train", "validation", "test"])[np.arange(ROWS) % 3]
    path = written(tmp_path / "data.parquet", {**columns(), "split": words})
    streamed, whole = loaded(path).data, loaded(path, "never").data
    assert isinstance(streamed.train, StreamedSplit)
    assert (streamed.task, streamed.classes, streamed.kind) == ("binary", ("no", "yes"), "table")
    assert streamed.columns == whole.columns == ("age", "visits", "town", "price")
    for name, split in streamed.splits.items():
        assert in_memory(split).digest() == whole[name].digest()
        assert set(split.slices) == set(whole[name].slices) == {"town"}


def test_texts_and_numbers_to_predict_are_streamed_too(tmp_path: Path) -> None:
    texts = [f"a review of film {number} in a few words" for number in range(ROWS)]
    path = written(tmp_path / "t.parquet", {"review": texts, "label": columns()["label"]})
    data = loaded(path).data
    assert (data.kind, data.task) == ("text", "binary")
    assert set(in_memory(data.train).features) <= set(texts)
    path = written(tmp_path / "r.parquet", {"age": columns()["age"], "y": columns()["age"] * 2 + 1})
    with pytest.raises(DatasetError, match=r"r\.parquet, row 1, the label is missing"):
        loaded(path)
    path = written(
        tmp_path / "r.parquet", {"visits": columns()["visits"], "y": np.arange(ROWS) / 7}
    )
    assert loaded(path).data.task == "regression"
    assert loaded(path).data.train.labels.dtype == np.float32


@pytest.mark.parametrize("stream", ["always", "never"])
@pytest.mark.parametrize("fixed", [True, False])
def test_lists_of_numbers_are_arrays(tmp_path: Path, stream: Streaming, fixed: bool) -> None:
    kind = pa.list_(pa.float64(), 5) if fixed else pa.list_(pa.float64())
    table = {"x": pa.array(vectors(), kind), "label": columns()["label"]}
    data = loaded(written(tmp_path / "data.parquet", table), stream).data
    assert (data.kind, data.feature_shape, data.columns) == ("array", (5,), ())
    assert isinstance(data.train, StreamedSplit) == (stream == "always")
    expected = np.array(vectors(), np.float32)
    assert data.scale == pytest.approx(np.abs(expected).max(), rel=0.3)
    found = np.concatenate([in_memory(split).features for split in data.splits.values()])
    assert sorted(found[:, 0]) == sorted(expected[:, 0])


def test_parts_are_one_table_and_their_folders_the_splits(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val", "test")):
        written(tmp_path / "data" / split / "a.parquet", columns(100, number))
        written(tmp_path / "data" / split / "b.parquet", columns(20, number + 10))
    for stream in ("always", "never"):
        data = loaded(tmp_path / "data", stream).data  # type: ignore[arg-type]
        assert [len(split) for split in data.splits.values()] == [120, 120, 120]
        ages = in_memory(data.test).features["visits"]
        assert np.array_equal(ages[:100], columns(100, 2)["visits"].astype(np.float32))


def test_names_of_parts_tell_the_split_if_all_do(tmp_path: Path) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        written(tmp_path / "data" / f"{name}.parquet", columns(100))
    data = loaded(tmp_path / "data").data
    assert (len(data.test), len(data.train) + len(data.validation)) == (100, 200)
    written(tmp_path / "data" / "more.parquet", columns(100))
    source = loaded(tmp_path / "data")
    assert any("The splits are drawn" in note for note in source.notes)
    assert len(source.data.test) == 80


def test_a_column_that_numbers_the_rows_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "data.parquet", {"id": np.arange(7, ROWS + 7), **columns()})
    assert "id" not in loaded(path).data.columns


def test_large_is_what_memory_cannot_hold_several_times() -> None:
    assert not is_too_large(1 << 20, "auto")
    assert is_too_large(1 << 50, "auto")
    assert is_too_large(1, "always")
    assert not is_too_large(1 << 50, "never")


def test_a_truncated_file_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "data.parquet", columns())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"data\.parquet is not readable Parquet"):
        loaded(path)


def test_a_flipped_byte_is_found_where_it_is(tmp_path: Path) -> None:
    table = {"x": np.random.default_rng(0).normal(size=ROWS), "label": columns()["label"]}
    path = written(
        tmp_path / "data.parquet", table,
        compression="none", use_dictionary=["label"], write_page_checksum=True,
    )  # fmt: skip
    data = bytearray(path.read_bytes())
    data[data.index(table["x"][120].tobytes())] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DatasetError, match=r"data\.parquet is not readable .* rows 101 to 150"):
        in_memory(loaded(path).data.train)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": [""] + ["a", "b"] * 300}, r"row 1, the label is missing"),
        ({"label": ["a"] * 600 + ["b"]}, r"class `b` has too few .*row 601"),
        ({"label": ["a"] * 601}, "All labels are `a`"),
        ({"label": [f"name {i}" for i in range(601)]}, "601 different texts in 601 examples"),
        ({"age": [1.0, 2.0] * 300 + [np.inf]}, r"row 601, the column `age` is infinite"),
        ({"split": ["train", "test"] * 300 + ["tset"]}, r"row 601, the split `split` is 'tset'"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_row(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = written(tmp_path / "data.parquet", {**columns(601), **change})
    with pytest.raises(DatasetError, match=message):
        in_memory(loaded(path, split="split" if "split" in change else None).data.train)


def test_a_text_among_numbers_found_late_is_named_with_its_row(tmp_path: Path) -> None:
    table = columns(20_000)
    table["price"][1500] = "dear"  # in none of the row groups by which columns are judged
    path = written(tmp_path / "data.parquet", table, row_group_size=1000)
    data = loaded(path).data
    with pytest.raises(DatasetError, match=r"row 1501, the column `price` is 'dear'"):
        read_all(data)


def test_a_list_of_another_length_is_named_with_its_row(tmp_path: Path) -> None:
    table = {"x": [*vectors()[:-1], [1.0, 2.0]], "label": columns()["label"]}
    data = loaded(written(tmp_path / "data.parquet", table)).data
    with pytest.raises(DatasetError, match=r"row 600, `x` is a list of 2, and others have 5"):
        read_all(data)


def test_parts_that_differ_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "data" / "a.parquet", columns(100))
    other = columns(100)
    del other["town"]
    written(tmp_path / "data" / "b.parquet", other)
    with pytest.raises(DatasetError, match=r"b\.parquet has only 4 columns, unlike .*a\.parquet"):
        loaded(tmp_path / "data")
    written(tmp_path / "data" / "b.parquet", {**columns(100), "town": np.arange(100)})
    with pytest.raises(DatasetError, match=r"b\.parquet has `town` of type int64, unlike"):
        loaded(tmp_path / "data")


def test_splits_told_twice_are_refused(tmp_path: Path) -> None:
    for name in ("train", "test"):
        table = {**columns(100), "split": ["train", "test"] * 50}
        written(tmp_path / "data" / f"{name}.parquet", table)
    with pytest.raises(ConfigError, match="tell their splits by their names"):
        loaded(tmp_path / "data")
