"""What an executed notebook says of itself: the last cell, and the same in its metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.config import Config
from agiwb.errors import NotFoundError
from agiwb.runs.record import RunInfo

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

PROVENANCE_TAG = "agiwb-provenance"
_SHORT = 12


def add_provenance(executed: Path, run: RunInfo, config: Config, store: RunStore) -> None:
    """Add where the notebook at ``executed`` comes from: config, inputs, data, code, environment.

    The fingerprints of data and models are those that the notebook's own steps have read; each is
    named with the run that read it.
    """
    import nbformat

    notebook = nbformat.read(executed, as_version=4)
    about = _described(run, config, store)
    ours = {**notebook.metadata.get("agiwb", {}), "provenance": about}
    notebook.metadata["agiwb"] = ours
    cell = nbformat.v4.new_markdown_cell(_text(about))
    cell.metadata["tags"] = [PROVENANCE_TAG]
    notebook.cells.append(cell)
    nbformat.write(notebook, executed)


def drop_provenance(notebook: Any) -> None:
    """Remove what ``add_provenance`` has added to a notebook."""
    notebook.metadata.get("agiwb", {}).pop("provenance", None)
    notebook.cells = [
        cell for cell in notebook.cells if PROVENANCE_TAG not in cell.metadata.get("tags", [])
    ]


def _described(run: RunInfo, config: Config, store: RunStore) -> dict[str, Any]:
    made = run.provenance
    return {
        "run": run.id,
        "started_at": run.started_at.isoformat(),
        "config": config.model_dump(mode="json"),
        "inputs": made.inputs,
        "results": [_result(step, name, store) for step, name in _results(run, store).items()],
        "git_commit": made.git_commit,
        "git_dirty": made.git_dirty,
        "code_sha256": made.code_sha256,
        "python": made.python,
        "machine": made.machine,
        "packages": made.packages,
    }


def _results(run: RunInfo, store: RunStore) -> dict[str, str]:
    return store.folder(run.id).results()


def _result(step: str, run_id: str, store: RunStore) -> dict[str, Any]:
    try:
        inputs = store.get(run_id).run.provenance.inputs
    except NotFoundError:
        inputs = {}
    return {"step": step, "run": run_id, "inputs": inputs}


def _text(about: dict[str, Any]) -> str:
    commit = f"`{about['git_commit']}`" if about["git_commit"] else "not in a git repository"
    changed = ", with uncommitted changes" if about["git_dirty"] else ""
    packages = ", ".join(
        f"{name} {version}"
        for name, version in about["packages"].items()
        if version != "not installed"
    )
    rows = [
        ("run", f"`{about['run']}`, begun {about['started_at'][:19]} UTC"),
        ("config", f"`{json.dumps(about['config'])}`"),
        *((name, f"`{digest[:_SHORT]}`") for name, digest in about["inputs"].items()),
        *((each["step"], _of_result(each)) for each in about["results"]),
        ("git commit", f"{commit}{changed}"),
        ("code of agiwb", f"`{about['code_sha256'][:_SHORT]}`"),
        ("environment", f"Python {about['python']}, {about['machine']}; {packages}"),
    ]
    lines = [f"| {name} | {_cell(value)} |" for name, value in rows]
    return "\n".join(["## Provenance", "", "| | |", "| --- | --- |", *lines])


def _of_result(result: dict[str, Any]) -> str:
    read = ", ".join(f"{name} `{digest[:_SHORT]}`" for name, digest in result["inputs"].items())
    again = f"again: `agiwb runs reproduce {result['run'][:8]}`"
    return f"run `{result['run'][:8]}`" + (f" of {read}" if read else "") + f"; {again}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
