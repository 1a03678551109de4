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
from agiwb.batch.nbformat_quickly import import_nbformat
from agiwb.batch.provenance_cell import drop_provenance
from agiwb.config import Config
from agiwb.errors import ConfigError, InputError, did_you_mean

PARAMETERS_TAG = "parameters"
_LEFT_BEHIND = {"injected-parameters", "papermill-error-cell-tag"}
UNKNOWN = object()
"""The value of a parameter whose default is computed, not written down."""


def read_notebook(path: Path) -> Any:
    """Return the notebook at ``path`` without what an earlier run left in it.

    Outputs, injected parameters and papermill's metadata of a former run would make a false
    provenance of this one.

    Raises:
        InputError: There is no such file, or it is no notebook.
    """
    nbformat = import_nbformat()
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
    notebook.cells = [cell for cell in notebook.cells if not _LEFT_BEHIND.intersection(_tags(cell))]
    drop_provenance(notebook)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def checked_parameters(notebook: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters to inject: ``given``, as the notebook's config understands them.

    A relative path, for one, becomes absolute: the kernel runs in another folder.

    Raises:
        ConfigError: A name is no parameter of the notebook, or a value does not fit.
    """
    defaults = declared_parameters(notebook)
    config_type = declared_config(notebook)
    fields = set(config_type.model_fields) if config_type else set()
    for name, value in given.items():
        if name not in defaults and name not in fields:
            raise ConfigError(
                f"The notebook has no parameter `{name}`.", did_you_mean(name, {*defaults, *fields})
            )
        if name not in fields and not _fits(value, defaults[name]):
            raise ConfigError(
                f"`{name}` cannot be {value!r}.", f"The notebook's own value is {defaults[name]!r}."
            )
    if config_type is None:
        return given
    known = {name: value for name, value in defaults.items() if value is not UNKNOWN}
    config = config_type.from_notebook({**known, **given}).model_dump(mode="json")
    return {name: config.get(name, value) for name, value in given.items()}


def declared_parameters(notebook: Any) -> dict[str, Any]:
    """Return what the cell tagged ``parameters`` assigns; UNKNOWN for what is no literal.

    Raises:
        InputError: The cell is not plain Python.
    """
    values: dict[str, Any] = {}
    for cell in notebook.cells:
        if PARAMETERS_TAG in _tags(cell):
            try:
                statements = ast.parse(cell.source).body
            except SyntaxError as error:
                raise InputError(
                    f"The notebook's parameters cell is not plain Python: {error.msg} "
                    f"in line {error.lineno}.",
                    "It should hold lines such as `epochs = 5`.",
                ) from None
            for statement in statements:
                values |= _assignment(statement)
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
    try:
        return {name: ast.literal_eval(value)}
    except ValueError:
        return {name: UNKNOWN}


def _fits(value: Any, default: Any) -> bool:
    """Return whether ``value`` is of the kind of ``default``; an int is fine for a float."""
    if default is UNKNOWN or default is None:
        return True
    kinds = (int, float) if isinstance(default, float) else type(default)
    return isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)
