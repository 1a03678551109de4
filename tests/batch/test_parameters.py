from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import agiwb
from agiwb.batch.notebook import RunConfig
from agiwb.batch.parameters import (
    checked_parameters,
    declared_config,
    declared_parameters,
    read_notebook,
)
from agiwb.errors import ConfigError, InputError

if TYPE_CHECKING:
    import nbformat

# 00_tour shows the workbench, whose forms take the place of parameters.
NOTEBOOKS = sorted(
    path
    for path in (Path(__file__).resolve().parents[2] / "notebooks").glob("[0-9]*.ipynb")
    if path.stem != "00_tour"
)
# What a notebook may ask for besides its config's fields.
EXTRAS = {"06_monitor": {"rotation_degrees"}, "10_maintain": {"rotation_degrees"}}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_parameters_cell_makes_the_notebooks_config(path: Path) -> None:
    notebook = read_notebook(path)
    config_type = declared_config(notebook)
    assert config_type is not None
    names = set(declared_parameters(notebook))
    assert names - set(config_type.model_fields) == EXTRAS.get(path.stem, set())
    checked_parameters(notebook, {})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_is_short_clean_and_explained(path: Path) -> None:
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) <= 12
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert all("def " not in cell.source for cell in code)
    assert notebook.cells[0].source.startswith("# ")
    assert notebook.cells[1].metadata.tags == ["parameters"]


def notebook_with(parameters: str, config: str | None = "TrainConfig") -> nbformat.NotebookNode:
    import nbformat

    cell = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    metadata = {"agiwb": {"config": config}} if config else {}
    return nbformat.v4.new_notebook(cells=[cell], metadata=metadata)


def test_a_misspelt_parameter_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no parameter `epoch`\. Did you mean `epochs`"):
        checked_parameters(notebook_with("epochs = 3"), {"epoch": 5})


def test_a_value_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`epochs` cannot be 2\.5"):
        checked_parameters(notebook_with("epochs = 3"), {"epochs": 2.5})


def test_a_default_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="`epochs` cannot be 0"):
        checked_parameters(notebook_with("epochs: int = 0"), {})


def test_a_field_that_the_cell_leaves_out_may_be_given() -> None:
    checked_parameters(notebook_with("epochs = 3"), {"dropout": 0.5})


def test_without_a_config_the_names_are_still_checked() -> None:
    assert checked_parameters(notebook_with("depth = 3", None), {"depth": 4}) == {"depth": 4}
    with pytest.raises(ConfigError, match="Did you mean `depth`"):
        checked_parameters(notebook_with("depth = 3", None), {"deptj": 1})


@pytest.mark.parametrize(
    ("cell", "given", "fits"),
    [
        ("angle = 30.0", 45, True),
        ("angle = 30.0", "steep", False),
        ("angle = 30.0", True, False),
        ("deep = True", 1, False),
        ("depth = 1 / 3", "anything", True),
        ("depth = None", "anything", True),
    ],
)
def test_a_parameter_beside_the_config_is_held_to_its_default(
    cell: str, given: object, fits: bool
) -> None:
    name = cell.partition(" ")[0]
    notebook = notebook_with(cell, "TrainConfig")
    if fits:
        assert checked_parameters(notebook, {name: given}) == {name: given}
    else:
        with pytest.raises(ConfigError, match=f"`{name}` cannot be"):
            checked_parameters(notebook, {name: given})


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = checked_parameters(notebook_with("dataset = 'digits'"), {"dataset": "mine.npz"})
    assert given == {"dataset": str(tmp_path / "mine.npz")}


def test_a_parameters_cell_that_is_not_python_is_told() -> None:
    with pytest.raises(InputError, match="parameters cell is not plain Python"):
        checked_parameters(notebook_with("%matplotlib inline"), {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5), ("012", 12), ("1e-3", 0.001), ("True", True), ("None", None), ("no", "no"),
        ("12:30", "12:30"), ("[onnx, litert]", ["onnx", "litert"]), ("@home", "@home"),
    ],
)  # fmt: skip
def test_values_are_read_as_papermill_reads_them(text: str, value: object) -> None:
    config = RunConfig(notebook=Path("n.ipynb"), parameters=[f"a={text}"])  # type: ignore[arg-type]
    assert config.parameters == {"a": value}


def test_a_list_that_does_not_end_is_told() -> None:
    with pytest.raises(ConfigError, match=r"'\[x' is not valid YAML"):
        RunConfig(notebook=Path("n.ipynb"), parameters=["a=[x"])  # type: ignore[arg-type]


def test_a_config_that_does_not_exist_is_named() -> None:
    with pytest.raises(InputError, match=r"names the config `TrainConfg`\. Did you mean"):
        checked_parameters(notebook_with("epochs = 3", "TrainConfg"), {})


def test_what_a_former_run_left_is_dropped(tmp_path: Path) -> None:
    import nbformat

    notebook = notebook_with("epochs = 3")
    injected = nbformat.v4.new_code_cell("epochs = 9", metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(1, injected)
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="old")]
    notebook.metadata["papermill"] = {"parameters": {"epochs": 9}}
    nbformat.write(notebook, tmp_path / "old.ipynb")
    clean = read_notebook(tmp_path / "old.ipynb")
    assert [cell.source for cell in clean.cells] == ["epochs = 3"]
    assert clean.cells[0].outputs == []
    assert "papermill" not in clean.metadata


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"cells": 3}'])
def test_a_file_that_is_no_notebook_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.ipynb").write_text(content)
    with pytest.raises(InputError, match=r"bad\.ipynb is not a notebook"):
        read_notebook(tmp_path / "bad.ipynb")


def test_every_declared_config_is_public() -> None:
    import nbformat

    for path in NOTEBOOKS:
        assert nbformat.read(path, as_version=4).metadata.agiwb.config in agiwb.__all__
