"""The examples for CI: their matrices fit the notebooks, and their commands are agiwb's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agiwb import MatrixConfig
from agiwb.batch.parameters import checked_parameters, read_notebook
from agiwb.flags import parser_for

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "ci"


@pytest.mark.parametrize("name", ["pull-request", "nightly"])
def test_each_matrix_fits_the_notebooks_that_it_names(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    entries = MatrixConfig.from_yaml(EXAMPLES / f"{name}.yaml").entries()
    assert len(entries) > 2
    for entry in entries:
        notebook = read_notebook(entry.config.notebook)
        assert set(checked_parameters(notebook, entry.config.parameters)) == set(
            entry.config.parameters
        )


@pytest.mark.parametrize("name", ["github-actions.yml", "gitlab-ci.yml"])
def test_each_workflow_runs_a_matrix_that_is_there(name: str) -> None:
    text = (EXAMPLES / name).read_text("utf-8")
    workflow: dict[Any, Any] = yaml.safe_load(text)
    assert workflow
    (command,) = re.findall(r"\.venv/bin/agiwb (matrix .*)", text)
    assert command == "matrix docs/ci/$MATRIX.yaml --output matrix"
    parser = parser_for("matrix", "", MatrixConfig)
    known, unknown = parser.parse_known_args(command.split()[2:])
    assert (vars(known), unknown) == ({"output": "matrix"}, [])
    for matrix in ("pull-request", "nightly"):
        assert matrix in text
        assert (EXAMPLES / f"{matrix}.yaml").is_file()
