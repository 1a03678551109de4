"""Tables from CSV, TSV, JSON lines and Parquet: the same rows, whatever the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agiwb.datasets.dataset import Dataset
from agiwb.datasets.description import SourceDescription
from agiwb.datasets.formats import load_source
from agiwb.datasets.source import Source, say_nothing
from agiwb.errors import ConfigError, DatasetError

ROWS = 120


def shop() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": [f"customer {number}" for number in range(ROWS)],
            "number": np.arange(ROWS),
            "age": rng.integers(18, 80, ROWS).astype(float),
            "country": rng.choice(["DE", "NA", "FR"], ROWS),
            "currency": "EUR",
            "amount": rng.random(ROWS),
            "bought": ["no", "yes", "yes"] * (ROWS // 3),
        }
    )
    frame.loc[[3, 7], "age"] = np.nan
    return frame


def written(frame: pd.DataFrame, path: Path) -> Path:
    match path.suffix:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".tsv":
            frame.to_csv(path, index=False, sep="\t")
        case ".jsonl":
            frame.to_json(path, orient="records", lines=True)
        case ".parquet":
            frame.to_parquet(path)
    return path


def read(path: Path, **options: Any) -> Source:
    return load_source(SourceDescription(name="data", path=path, **options), say_nothing)


def of_all(data: Dataset, column: str) -> list[Any]:
    return [value for part in data.splits.values() for value in part.features[column]]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_table(tmp_path: Path, suffix: str) -> None:
    source = read(written(shop(), tmp_path / f"shop{suffix}"), label="bought")
    data = source.data
    assert (data.kind, data.task, data.classes) == ("table", "binary", ("no", "yes"))
    assert data.columns == ("age", "country", "amount")
    assert [data.train.features.dtype[name].kind for name in data.columns] == ["f", "O", "f"]
    assert {name: len(part) for name, part in data.splits.items()} == {
        "train": 78, "validation": 18, "test": 24,
    }  # fmt: skip
    assert np.isnan(of_all(data, "age")).sum() == 2
    assert set(of_all(data, "country")) == {"DE", "NA", "FR"}  # NA is a country here
    assert set(data.test.slices) == {"country"}
    assert source.notes == (
        "The column `number` is left out: it only numbers the rows.",
        "The column `currency` is left out: it has the same value in each row.",
        "The column `id` is left out: it has another text in each row.",
    )
    assert np.bincount(data.test.labels).tolist() == [8, 16]


def test_the_formats_agree_to_the_bit(tmp_path: Path) -> None:
    frame = shop()
    prints = {
        read(written(frame, tmp_path / f"a{suffix}"), label="bought").data.fingerprint
        for suffix in (".csv", ".tsv", ".parquet")
    }
    assert len(prints) == 1


def test_another_seed_draws_other_splits(tmp_path: Path) -> None:
    path = written(shop(), tmp_path / "shop.csv")
    first, again, other = (read(path, label="bought", seed=seed).data for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_features_slices_and_classes_can_be_named(tmp_path: Path) -> None:
    path = written(shop(), tmp_path / "shop.csv")
    source = read(
        path, label="bought", features=("id", "amount"), slices="currency", classes=("yes", "no")
    )
    assert source.data.columns == ("id", "amount")
    assert source.data.classes == ("yes", "no")
    assert source.notes == ()
    assert set(source.data.train.slices["currency"]) == {"EUR"}


@pytest.mark.parametrize(
    ("labels", "task", "classes"),
    [
        (np.arange(ROWS) % 3, "classification", ("0", "1", "2")),
        (np.arange(ROWS) % 2 + 1.0, "binary", ("1", "2")),
        (np.arange(ROWS) % 2 == 0, "binary", ("False", "True")),
        (np.arange(ROWS), "regression", ()),
        (np.arange(ROWS) / 7, "regression", ()),
        (np.array(["b", "a", "None"])[np.arange(ROWS) % 3], "classification", ("None", "a", "b")),
        (np.arange(ROWS) % 12, "classification", tuple(map(str, range(12)))),
    ],
)
def test_the_task_follows_from_the_labels(
    tmp_path: Path, labels: np.ndarray, task: str, classes: tuple[str, ...]
) -> None:
    frame = shop()[["age", "amount"]].assign(target=labels)
    data = read(written(frame, tmp_path / "a.csv")).data
    assert (data.task, data.classes) == (task, classes)


def test_the_task_can_be_given(tmp_path: Path) -> None:
    frame = shop()[["amount"]].assign(y=np.arange(ROWS) % 4)
    path = written(frame, tmp_path / "a.csv")
    source = read(path)
    assert "4 different whole numbers and is taken as classes" in source.notes[0]
    asked = read(path, task="regression")
    assert (asked.data.task, asked.notes) == ("regression", ())
    assert set(asked.data.train.labels) == {0, 1, 2, 3}


def test_several_label_columns_are_multilabel(tmp_path: Path) -> None:
    frame = shop()[["amount"]].assign(red=np.arange(ROWS) % 2, big=np.arange(ROWS) // 60)
    data = read(written(frame, tmp_path / "a.csv"), label=("red", "big")).data
    assert (data.task, data.classes, data.columns) == ("multilabel", ("red", "big"), ("amount",))
    assert data.train.labels.dtype == np.float32


def test_the_users_own_split_is_respected(tmp_path: Path) -> None:
    frame = shop().assign(Split=["train"] * 80 + ["dev"] * 20 + ["Test"] * 20)
    data = read(written(frame, tmp_path / "a.csv"), label="bought").data
    assert data.validation.features["amount"] == pytest.approx(frame.amount[80:100])
    assert data.test.features["amount"] == pytest.approx(frame.amount[100:])
    assert "Split" not in data.columns


def test_a_validation_split_is_carved_from_train_with_the_classes_kept(tmp_path: Path) -> None:
    frame = shop().assign(part=["train"] * 100 + ["test"] * 20)
    source = read(written(frame, tmp_path / "a.csv"), label="bought", split="part")
    assert np.bincount(source.data.validation.labels).tolist() == [5, 10]
    assert len(source.data.test) == 20
    assert source.notes[-1] == (
        "There was no validation split: 15 training examples were drawn for it."
    )


def test_texts_are_told_from_tables(tmp_path: Path) -> None:
    texts = [f"the film number {number} was {'good, fun' if number % 2 else 'bad'}"
             for number in range(40)]  # fmt: skip
    frame = pd.DataFrame({"id": [f"r{n}" for n in range(40)], "review": texts,
                          "site": ["a", "b"] * 20, "label": np.arange(40) % 2})  # fmt: skip
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet"):
        data = read(written(frame.drop(columns="site"), tmp_path / f"a{suffix}")).data
        assert (data.kind, data.task, data.feature_shape) == ("text", "binary", ())
        assert data.train.features.dtype == object
        everything = np.concatenate([part.features for part in data.splits.values()])
        assert sorted(everything) == sorted(texts)
    path = written(frame, tmp_path / "sites.csv")
    assert read(path).data.kind == "table"  # two columns may tell something
    named = read(path, text="review").data
    assert (named.kind, set(named.test.slices["site"])) == ("text", {"a", "b"})


def test_numbers_may_have_words_for_missing_and_strays_are_named(tmp_path: Path) -> None:
    lines = ["a,b,label"] + [f"{n},{n / 2},{n % 2}" for n in range(30)]
    lines[5], lines[6] = "NA,?,0", "7,12;5,1"
    (tmp_path / "a.csv").write_text("\n".join(lines))
    source = read(tmp_path / "a.csv")
    assert source.data.train.features.dtype["a"].kind == "f"
    assert source.data.train.features.dtype["b"].kind == "O"
    assert any("`b` is taken as text" in note and "'12;5' in row 7" in note
               for note in source.notes)  # fmt: skip


def test_rows_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    lines = ["text,label", '"two\nlines",a', "", "one,b", ",c,d"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=r"a\.csv, row 6 has 3 fields and the header 2"):
        read(tmp_path / "a.csv")


def test_semicolons_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    lines = ["size;label"] + [f"{n / 3};{'ab'[n % 2]}" for n in range(30)]
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    assert read(tmp_path / "a.csv").data.columns == ("size",)


GOOD = ["x,y"] + [f"{n / 3},{'ab'[n % 2]}" for n in range(30)]


def with_line(number: int, line: str) -> bytes:
    """Return a good CSV in which the line ``number`` (from 1) is ``line``."""
    return "\n".join([*GOOD[: number - 1], line, *GOOD[number:]]).encode()


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", {}, r"a\.csv is empty"),
        (b"x,y\n", {}, r"a\.csv has no rows"),
        (with_line(9, "1,a,3"), {}, r"a\.csv, row 9 has 3 fields and the header 2"),
        (with_line(9, "1"), {}, r"a\.csv, row 9 has 1 fields"),
        (with_line(9, "1,a").replace(b"1,a", b"1,\xe9"), {}, r"row 9 is not UTF-8: byte 0xe9"),
        (with_line(9, "1,"), {}, r"a\.csv, row 9, the label is missing"),
        (with_line(9, "inf,a"), {}, r"a\.csv, row 9, the column `x` is infinite"),
        (with_line(9, "1e300,a"), {}, r"a\.csv, row 9, the column `x` is infinite or beyond"),
        (with_line(9, '"1,a'), {}, r"a\.csv"),
        (with_line(1, "x,x"), {}, "two columns are called `x`"),
        (with_line(1, "x,z"), {}, r"a\.csv has no column `label`"),
        (with_line(2, "1,a"), {"label": "yy"}, "no column `yy` for `label`. Did you mean `y`"),
        (with_line(9, "1,c"), {"classes": ["a", "b"]}, "row 9, the label `c` is none of the 2"),
        (with_line(9, "1,c"), {"task": "binary"}, "task binary has two classes, and here are 3"),
        (with_line(9, "1,c"), {}, r"`c` has only 1 \(in .*a\.csv, row 9\)"),
        (with_line(9, "1,c"), {"task": "regression"}, "row 2, the label is 'a', which is not a nu"),
        (b"x,y\n" + b"1,a\n" * 30, {}, "has no column to predict from. The column `x`"),
        (b"x,y\n" + b"1,a\n2,a\n" * 30, {}, "All labels are `a`"),
    ],
)  # fmt: skip
def test_a_csv_that_does_not_fit_is_refused(
    tmp_path: Path, content: bytes, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read(tmp_path / "a.csv", **options)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([f"{n / 3}" for n in range(29)] + ["unknown"], "row 31, the label is 'unknown', which is"),
        ([f"text {n}" for n in range(30)], "30 different texts in 30 examples"),
        (["a", "b"] * 14 + ["a", "d"], None),
    ],
)
def test_texts_that_are_no_classes_are_refused(
    tmp_path: Path, labels: list[str], message: str | None
) -> None:
    frame = pd.DataFrame({"x": np.arange(30) / 3, "y": labels})
    frame["split"] = ["train"] * 20 + ["validation"] * 5 + ["test"] * 5
    with pytest.raises(DatasetError, match=message or "row 31, the label `d` is none of the 2"):
        read(written(frame, tmp_path / "a.csv"))


def test_a_split_that_is_none_is_refused_with_its_row(tmp_path: Path) -> None:
    frame = shop().assign(part=["train"] * 110 + ["final"] * 10)
    with pytest.raises(DatasetError, match="row 112, the split `part` is 'final'"):
        read(written(frame, tmp_path / "a.csv"), label="bought", split="part")
    frame["part"] = "test"
    with pytest.raises(DatasetError, match="no training examples"):
        read(written(frame, tmp_path / "a.csv"), label="bought", split="part")


def test_labels_of_several_columns_must_be_0_and_1(tmp_path: Path) -> None:
    frame = shop()[["amount"]].assign(red=np.arange(ROWS) % 2, big=np.arange(ROWS) % 3)
    path = written(frame, tmp_path / "a.csv")
    with pytest.raises(DatasetError, match="row 4, the label `big` is 2"):
        read(path, label=("red", "big"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"x": 1, "y": ', "row 3 is not JSON"),
        (b"[1, 2]", "row 3 is no JSON object"),
        (b'{"x": "\xff", "y": "a"}', "row 3 is not JSON"),
        (b'{"x": 1}', "row 3, the label is missing"),
    ],
)
def test_a_bad_line_of_json_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    lines = [b'{"x": %d, "y": "%s"}' % (n, b"ab"[n % 2 :][:1]) for n in range(30)]
    lines[2] = line
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    with pytest.raises(DatasetError, match=rf"a\.jsonl, {message}"):
        read(tmp_path / "a.jsonl")


def test_a_corrupt_parquet_is_named(tmp_path: Path) -> None:
    path = written(shop(), tmp_path / "a.parquet")
    whole = path.read_bytes()
    for content in (b"", b"no parquet", whole[: len(whole) // 2], whole[:-20] + b"x" * 20):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"a\.parquet is not readable Parquet"):
            read(path, label="bought")


def test_lists_in_a_parquet_are_left_out(tmp_path: Path) -> None:
    frame = shop().assign(tags=[["a", "b"]] * ROWS)
    source = read(written(frame, tmp_path / "a.parquet"), label="bought")
    assert "tags" not in source.data.columns
    assert "The column `tags` is left out: it holds lists or objects." in source.notes


def test_a_column_has_one_role_and_an_option_a_meaning(tmp_path: Path) -> None:
    path = written(shop(), tmp_path / "a.csv")
    with pytest.raises(ConfigError, match="`bought` cannot be both"):
        read(path, label="bought", features=("age", "bought"))
    with pytest.raises(ConfigError, match=r"`image_size` means nothing to .*a\.csv"):
        read(path, label="bought", image_size=(8, 8))
    with pytest.raises(ConfigError, match="`kind` cannot be image"):
        read(path, label="bought", kind="image")
