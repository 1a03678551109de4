"""The Matrix panel without a browser: a file is read, run, and each combination shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agiwb.batch.jupyter import lab_link
from agiwb.batch.matrix_config import MatrixConfig
from agiwb.batch.matrix_files import matrix_files, outcome_told
from agiwb.errors import ConfigError
from tests.batch.test_notebook import write_notebook
from widgets.guard import STRICT
from widgets.matrix import MatrixPanel

MATRIX = """\
name: quick
matrix:
  notebook: [n.ipynb]
  n: [1, 2]
  include:
    - {notebook: n.ipynb, n: 0}
workers: 1
"""


@pytest.fixture
def file(tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A matrix of three, of which the last fails, beside its notebook; nobody is in its folder."""
    monkeypatch.setenv(STRICT, "1")
    folder = tmp_path / "ci"
    folder.mkdir()
    write_notebook(folder / "n.ipynb", "n = 1", "print(1 / n)")
    path = folder / "quick.yaml"
    path.write_text(MATRIX)
    (tmp_path / "other.yaml").write_text("epochs: 3\n")
    return path


def until(is_so: Callable[[], object], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def test_files_are_found_and_read_from_anywhere(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert matrix_files(tmp_path) == [file]
    config = MatrixConfig.from_yaml(file)
    entries = config.entries()
    assert {entry.config.notebook for entry in entries} == {file.parent / "n.ipynb"}
    assert outcome_told("2 of 3  n (n=2): passed in 1.0 s", entries) == (
        "n (n=2)",
        "passed in 1.0 s",
    )
    assert outcome_told("Examining 5 examples.", entries) is None
    with pytest.raises(ConfigError):
        MatrixConfig.from_yaml(tmp_path / "other.yaml")
    assert lab_link(file) is None
    monkeypatch.setenv("AGIWB_LAB_ROOT", str(tmp_path))
    assert lab_link(file) == "/files/ci/quick.yaml"
    assert lab_link(tmp_path.parent / "elsewhere") is None


@pytest.mark.slow
def test_each_combination_is_shown_as_it_ends(file: Path) -> None:
    panel = MatrixPanel()
    assert panel.button.disabled
    assert "Read a matrix file" in panel.table.value
    panel.file.value = str(file)
    panel.read.click()
    assert [said for _, said in panel.matrix.outcomes] == ["not yet"] * 3
    panel.button.click()
    until(lambda: panel.index.value or panel.state.error or panel.state.job.problem)
    said = dict(panel.matrix.outcomes)
    assert said["n (n=1)"].startswith("passed")
    assert said["n (n=2)"].startswith("passed")
    assert said["n (n=0)"].startswith("failed")
    assert "ZeroDivisionError" in panel.table.value
    assert "index.html" in panel.index.value
    assert "n (n=0)" in panel.static_html()
