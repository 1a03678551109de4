"""Adding a data set under a name: from the command line, in a workspace of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from agiwb import AddDatasetConfig, DatasetRecord, add_dataset, load_dataset
from agiwb.cli import main
from agiwb.config import Config
from agiwb.datasets.registry import DatasetName
from agiwb.errors import ConfigError, DatasetError
from agiwb.runs.store import open_store

pytestmark = pytest.mark.slow

ROWS = ["age,city,bought"] + [f"{n},{'Bonn' if n % 3 else 'Köln'},{['no', 'yes'][n % 2]}"
                              for n in range(40, 80)]  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    path.write_text("\n".join(ROWS).replace("41,", ",", 1))
    return path


@pytest.fixture
def shop(workspace: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> DatasetRecord:
    """The record of a table added as `shop` on the command line."""
    assert main(["datasets", "add", "shop", str(table), "--label", "bought", "--json"]) == 0
    return DatasetRecord.model_validate_json(capsys.readouterr().out)


def test_a_name_means_the_data_and_the_record_says_what_they_are(
    shop: DatasetRecord, workspace: Path, table: Path
) -> None:
    data = load_dataset("shop")
    assert (data.name, data.task, data.classes) == ("shop", "binary", ("no", "yes"))
    assert shop.fingerprint == data.fingerprint
    assert shop.examples == {"train": 26, "validation": 6, "test": 8}
    assert (shop.columns, shop.slices) == (("age", "city"), ("city",))
    assert any("missing of `age`" in finding for finding in shop.quality.findings)
    pointer = json.loads((workspace / "datasets" / "shop.json").read_text())
    assert (pointer["source"]["path"], pointer["fingerprint"]) == (str(table), shop.fingerprint)
    assert list((workspace / "datasets").iterdir()) == [workspace / "datasets" / "shop.json"]
    assert open_store().get(shop.run.id) == shop


def test_nothing_changed_means_nothing_to_read_again(shop: DatasetRecord) -> None:
    again = add_dataset(shop.config)
    assert (again.run.id, again.reused) == (shop.run.id, True)


def test_it_is_listed_described_and_summed_up(
    shop: DatasetRecord, workspace: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["datasets", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["digits", "image", "classification"]
    assert lines[-1].split() == ["shop", "table", "binary", str(table)]
    assert main(["datasets", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[-1]["name"] == "shop"
    assert main(["datasets", "shop"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["columns"] == ["age", "city"]
    assert described["path"] == str(table)
    assert main(["datasets", "add", "again", str(table), "--label", "bought", "--seed", "4"]) == 0
    printed = capsys.readouterr()
    assert "again: added from" in printed.out
    assert "26 train, 6 validation, 8 test" in printed.out
    assert "Values are missing of `age`, in up to 12.5% of a split" in printed.err
    assert "Preview and quality report: " in printed.out
    assert (workspace / "reports" / "datasets" / "again.html").is_file()


def test_changed_data_are_not_taken_for_what_was_added(
    shop: DatasetRecord, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text("\n".join(ROWS))
    with pytest.raises(DatasetError, match="shop has changed since it was added") as error:
        load_dataset("shop")
    assert f"`agiwb datasets add shop {table} --label bought`" in str(error.value)
    assert main(["datasets", "add", "shop", str(table), "--label", "bought"]) == 0
    assert load_dataset("shop").fingerprint != shop.fingerprint
    table.unlink()
    with pytest.raises(DatasetError, match=r"was added from .*, where there is nothing now"):
        load_dataset("shop")


def test_a_removed_name_is_forgotten_but_records_stay_readable(
    shop: DatasetRecord, table: Path, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class AnyConfig(Config):
        dataset: DatasetName

    stored = AnyConfig(dataset="shop").model_dump_json()
    assert main(["datasets", "remove", "shop"]) == 0
    assert str(table) in capsys.readouterr().out
    assert table.is_file()
    assert AnyConfig.model_validate_json(stored).dataset == "shop"
    with pytest.raises(DatasetError, match=r"shop was removed\. To add it again: `agiwb datasets"):
        load_dataset("shop")
    assert main(["datasets"]) == 0
    assert "shop" not in capsys.readouterr().out.split()
    assert main(["datasets", "remove", "shop"]) == 2
    assert "There is no data set 'shop' that was added" in capsys.readouterr().err


def test_a_misspelt_name_gets_the_registered_one(shop: DatasetRecord) -> None:
    with pytest.raises(DatasetError, match="Did you mean `shop`"):
        load_dataset("shopp")


def test_a_damaged_pointer_is_named(shop: DatasetRecord, workspace: Path) -> None:
    (workspace / "datasets" / "shop.json").write_text("{")
    with pytest.raises(DatasetError, match=r"datasets/shop\.json, which says where"):
        load_dataset("shop")


@pytest.mark.parametrize("name", ["digits", "add", "my data", "../up", "", "-x", "a.csv"])
def test_a_name_that_cannot_be_given_is_refused(name: str, table: Path, workspace: Path) -> None:
    with pytest.raises(ConfigError, match="`name`"):
        AddDatasetConfig(name=name, path=table, label="bought")


def ragged(path: Path) -> Path:
    path.with_suffix(".csv").write_text("\n".join([*ROWS[:9], "1,2,3,4", *ROWS[9:]]))
    return path.with_suffix(".csv")


def not_utf8(path: Path) -> Path:
    path.with_suffix(".csv").write_bytes("\n".join(ROWS).encode("latin-1"))
    return path.with_suffix(".csv")


def empty(path: Path) -> Path:
    path.with_suffix(".csv").touch()
    return path.with_suffix(".csv")


def unlabelled_row(path: Path) -> Path:
    path.with_suffix(".csv").write_text("\n".join([*ROWS[:9], "1,Bonn,", *ROWS[9:]]))
    return path.with_suffix(".csv")


def without_label(path: Path) -> Path:
    path.with_suffix(".csv").write_text("\n".join(ROWS).replace("bought", "sold"))
    return path.with_suffix(".csv")


def corrupt_parquet(path: Path) -> Path:
    path.with_suffix(".parquet").write_bytes(b"PAR1 not really PAR1")
    return path.with_suffix(".parquet")


def bad_json_line(path: Path) -> Path:
    path.with_suffix(".jsonl").write_text('{"a": 1, "bought": "yes"}\n{"a":\n')
    return path.with_suffix(".jsonl")


def late_class(path: Path) -> Path:
    splits = ["split", *["train"] * 30, *["validation"] * 5, *["test"] * 5]
    rows = [f"{row},{split}" for row, split in zip(ROWS, splits, strict=True)]
    rows[39] = rows[39].replace("no", "perhaps").replace("yes", "perhaps")
    path.with_suffix(".csv").write_text("\n".join(rows))
    return path.with_suffix(".csv")


def two_sizes(path: Path, second: tuple[int, int] = (5, 4)) -> Path:
    for name, size in (("a", (4, 4)), ("b", second)):
        (path / name).mkdir(parents=True)
        for number in range(10):
            Image.new("L", size, number).save(path / name / f"{number}.png")
    return path


def broken_image(path: Path) -> Path:
    two_sizes(path, second=(4, 4))
    (path / "b" / "3.png").write_bytes(b"not an image")
    return path


def two_rates(path: Path) -> Path:
    for name, rate in (("a", 8000), ("b", 16000)):
        (path / name).mkdir(parents=True)
        for number in range(10):
            wavfile.write(path / name / f"{number}.wav", rate, np.zeros(80, np.int16))
    return path


def bad_text(path: Path) -> Path:
    for name in ("a", "b"):
        (path / name).mkdir(parents=True)
        for number in range(10):
            (path / name / f"{number}.txt").write_bytes(b"text")
    (path / "b" / "7.txt").write_bytes(b"caf\xe9")
    return path


def no_user(path: Path) -> Path:
    rows = ["user,item"] + [f"u{n % 4},i{n}" for n in range(40)]
    rows[11] = ",i9"
    path.with_suffix(".csv").write_text("\n".join(rows))
    return path.with_suffix(".csv")


def npz_without_labels(path: Path) -> Path:
    np.savez(path.with_suffix(".npz"), x=np.zeros((40, 3)))
    return path.with_suffix(".npz")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (ragged, "data.csv, row 10 has 4 fields and the header 3"),
        (not_utf8, "data.csv, row 4 is not UTF-8: byte 0xf6"),
        (empty, "data.csv is empty"),
        (unlabelled_row, "data.csv, row 10, the label is missing"),
        (without_label, "data.csv has no column `bought` for `label`"),
        (corrupt_parquet, "data.parquet is not readable Parquet"),
        (bad_json_line, "data.jsonl, row 2 is not JSON"),
        (late_class, "data.csv, row 40, the label `perhaps` is none of the 2 classes (no, yes)"),
        (two_sizes, "b/0.png is 4 x 5 pixels"),
        (broken_image, "b/3.png cannot be read"),
        (two_rates, "b/0.wav has 16000 Hz"),
        (bad_text, "b/7.txt is not UTF-8: byte 0xe9 at offset 3"),
        (no_user, "data.csv, row 12, the column `user` is empty"),
        (npz_without_labels, "data.npz has no labels"),
        (lambda path: path.with_suffix(".csv"), "There is no file"),
    ],
)
def test_bad_data_are_named_and_leave_nothing(
    workspace: Path,
    tmp_path: Path,
    make: Callable[[Path], Path],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = make(tmp_path / "data")
    has_label = path.suffix in {".csv", ".parquet", ".jsonl"} and make is not no_user
    words = ["datasets", "add", "mine", str(path)]
    assert main([*words, "--label", "bought"] if has_label else words) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    assert not (workspace / "datasets").exists()
    assert open_store().summaries() == []
    assert not list((workspace / "jobs").glob("*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["add"], "needs the parameter `name`"),
        (["add", "digits", "x.csv"], "digits is a built-in data set"),
        (["add", "mine", "x.csv", "--labels", "y"], "does not take `--labels`. Did you mean"),
        (["add", "mine", "x.csv", "--kind", "picture"], "`kind` cannot be 'picture'"),
        (["add", "mine", "x.csv", "--image-size", "3"], "image_size"),
        (["nothing"], "There is no data set 'nothing'"),
        (["remove"], "arguments are required: NAME"),
    ],
)
def test_a_wrong_command_is_exit_code_2(
    words: list[str], message: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["datasets", *words]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


def test_options_reach_the_loader(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = two_sizes(tmp_path / "pets")
    assert main(["datasets", "add", "pets", str(path), "--image-size", "6", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["feature_shape"] == [6, 3]
    assert load_dataset("pets").feature_shape == (6, 3)
