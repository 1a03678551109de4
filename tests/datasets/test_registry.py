"""Names and paths: what a reference means, and what is said when it means nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from agiwb.datasets.builtin import BUILTIN
from agiwb.datasets.registry import dataset_reference, load_dataset
from agiwb.errors import DatasetError

ROWS = "size,id,label\n" + "".join(f"{n / 3},number {n},{'ab'[n % 2]}\n" for n in range(40))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text(ROWS)
    return tmp_path / "a.csv"


def test_a_built_in_name_is_itself_even_beside_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert [dataset_reference(name) for name in BUILTIN] == list(BUILTIN)


def test_a_path_means_the_same_from_every_folder(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for reference in ("a.csv", "./a.csv", "~/a.csv", str(table)):
        assert dataset_reference(reference) == str(table)
    assert dataset_reference("pets") == str(tmp_path / "pets")
    assert dataset_reference("gone.parquet") == str(tmp_path / "gone.parquet")


def test_a_file_of_any_format_is_loaded_by_its_path(
    table: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        data = load_dataset(str(table))
        load_dataset(str(table))
    assert (data.name, data.kind, data.columns) == ("a", "table", ("size",))
    assert caplog.messages == [
        "a.csv: The column `id` is left out: it has another text in each row."
    ]  # once, though loaded twice


def test_a_changed_table_is_read_again(table: Path) -> None:
    before = load_dataset(str(table)).fingerprint
    table.write_text(ROWS.replace("0.0", "0.5"))
    assert load_dataset(str(table)).fingerprint != before


def test_a_changed_file_in_a_folder_is_seen(tmp_path: Path) -> None:
    for name in ("spam", "ham"):
        (tmp_path / "mail" / name).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "mail" / name / f"{number}.txt").write_text(f"{name} {number}")
    before = load_dataset(str(tmp_path / "mail")).fingerprint
    assert load_dataset(str(tmp_path / "mail")).fingerprint == before
    (tmp_path / "mail" / "ham" / "3.txt").write_text("changed")
    assert load_dataset(str(tmp_path / "mail")).fingerprint != before


def test_what_is_neither_name_nor_path_gets_the_nearest(workspace: Path) -> None:
    with pytest.raises(DatasetError, match="Did you mean `breast_cancer`"):
        dataset_reference("brest_cancer")
    with pytest.raises(DatasetError, match="agiwb datasets add"):
        dataset_reference("qqqqq")


def test_a_file_of_no_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"a\.docx is of no known format"):
        load_dataset(str(tmp_path / "a.docx"))
    with pytest.raises(DatasetError, match="There is no file or folder"):
        load_dataset(str(tmp_path / "nowhere"))
