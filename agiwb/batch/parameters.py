"""A notebook's parameters, read and checked before a kernel starts.

papermill itself only warns of a misspelt parameter, and takes any type. Here the names must stand
in the notebook's ``parameters`` cell or be fields of the config that the notebook declares in its
metadata (``{"agiwb": {"config": "TrainConfig"}}``), and the values must make that config.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import agiwb
from agiwb.config import Config
from agiwb.errors import ConfigError, InputError, did_you_mean

PARAMETERS_TAG = "parameters"


def read_notebook(path: Path) -> Any:
    """Return the notebook at ``path`` without what an earlier run left in it.

    Outputs, injected parameters and papermill's metadata of a former run would make a false
    provenance of this one.

    Raises:
        InputError: There is no such file, or it is no notebook.
    """
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise InputError(f"There is no notebook {path}.", "Check the path.") from None
    except Exception as error:  # noqa: BLE001  nbformat upgrades whatever it finds, and trips anyhow
        raise InputError(
            f"The file {path} is not a notebook: {error or type(error).__name__}."
        ) from None
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in _tags(cell)]
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def check_parameters(notebook: Any, given: dict[str, Any]) -> None:
    """Raise ConfigError unless ``given`` are parameters of the notebook, of the right type."""
    defaults = declared_parameters(notebook)
    config_type = declared_config(notebook)
    fields = set(config_type.model_fields) if config_type else set()
    for name in given:
        if name not in defaults and name not in fields:
            raise ConfigError(
                f"The notebook has no parameter `{name}`.", did_you_mean(name, {*defaults, *fields})
            )
    if config_type is not None:
        config_type.from_notebook({**defaults, **given})


def declared_parameters(notebook: Any) -> dict[str, Any]:
    """Return the names and default values assigned in the cell tagged ``parameters``."""
    values: dict[str, Any] = {}
    for cell in notebook.cells:
        if PARAMETERS_TAG in _tags(cell):
            for node in ast.parse(cell.source).body:
                values |= _assignment(node)
    return values


def declared_config(notebook: Any) -> type[Config] | None:
    """Return the config that the notebook's metadata names, if it names one."""
    name = notebook.metadata.get("agiwb", {}).get("config")
    if name is None:
        return None
    if name not in agiwb.__all__:
        raise InputError(
            f"The notebook's metadata names the config `{name}`.", did_you_mean(name, agiwb.__all__)
        )
    config_type: type[Config] = getattr(agiwb, name)
    return config_type


def _tags(cell: Any) -> list[str]:
    tags: list[str] = cell.metadata.get("tags", [])
    return tags


def _assignment(node: ast.stmt) -> dict[str, Any]:
    """Return name and value of ``name = literal`` or ``name: type = literal``."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        name, value = node.targets[0].id, node.value
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        name, value = node.target.id, node.value
    else:
        return {}
    return {name: ast.literal_eval(value)}
