from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

import agiwb
from agiwb.batch.parameters import (
    check_parameters,
    declared_config,
    declared_parameters,
    read_notebook,
)
from agiwb.errors import ConfigError, InputError

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
# What a notebook may ask for besides its config's fields.
EXTRAS = {"06_monitor": {"rotation_degrees"}}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_parameters_cell_makes_the_notebooks_config(path: Path) -> None:
    notebook = read_notebook(path)
    config_type = declared_config(notebook)
    assert config_type is not None
    names = set(declared_parameters(notebook))
    assert names - set(config_type.model_fields) == EXTRAS.get(path.stem, set())
    check_parameters(notebook, {})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_is_short_clean_and_explained(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) <= 12
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert all("def " not in cell.source for cell in code)
    assert notebook.cells[0].source.startswith("# ")
    assert notebook.cells[1].metadata.tags == ["parameters"]


def notebook_with(parameters: str, config: str | None = "TrainConfig") -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    metadata = {"agiwb": {"config": config}} if config else {}
    return nbformat.v4.new_notebook(cells=[cell], metadata=metadata)


def test_a_misspelt_parameter_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no parameter `epoch`\. Did you mean `epochs`"):
        check_parameters(notebook_with("epochs = 3"), {"epoch": 5})


def test_a_value_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`epochs` cannot be 2\.5"):
        check_parameters(notebook_with("epochs = 3"), {"epochs": 2.5})


def test_a_default_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="`epochs` cannot be 0"):
        check_parameters(notebook_with("epochs: int = 0"), {})


def test_a_field_that_the_cell_leaves_out_may_be_given() -> None:
    check_parameters(notebook_with("epochs = 3"), {"dropout": 0.5})


def test_without_a_config_the_names_are_still_checked() -> None:
    check_parameters(notebook_with("depth = 3", None), {"depth": "any"})
    with pytest.raises(ConfigError, match="Did you mean `depth`"):
        check_parameters(notebook_with("depth = 3", None), {"deptj": 1})


def test_a_config_that_does_not_exist_is_named() -> None:
    with pytest.raises(InputError, match=r"names the config `TrainConfg`\. Did you mean"):
        check_parameters(notebook_with("epochs = 3", "TrainConfg"), {})


def test_what_a_former_run_left_is_dropped(tmp_path: Path) -> None:
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
    for path in NOTEBOOKS:
        assert nbformat.read(path, as_version=4).metadata.agiwb.config in agiwb.__all__
