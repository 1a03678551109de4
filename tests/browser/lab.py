"""One JupyterLab, and workbenches in it: each in a notebook and a kernel of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect

LAB_FLAGS = ["--no-browser", "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]

PATIENCE_MS = 240_000
_RUN_ALL = "window.jupyterapp.commands.execute('notebook:run-all-cells')"
_SHUT_DOWN = "window.jupyterapp.shell.currentWidget.sessionContext.shutdown()"
_THEME = "window.jupyterapp.commands.execute('apputils:change-theme', {{theme: 'JupyterLab {}'}})"


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, and the folder that it shows."""

    address: str
    folder: Path


@contextmanager
def workbench(page: Page, lab: Lab, name: str, workspace: Path | None = None) -> Iterator[None]:
    """Show the workbench, in a notebook called so; its kernel ends afterwards.

    Args:
        page: On which it is shown.
        lab: Where.
        name: Of the notebook.
        workspace: What the workbench is about; by default JupyterLab's own.
    """
    cells = ["from widgets import Workbench\n\nWorkbench()"]
    if workspace is not None:
        cells.insert(0, f"import os\nos.environ['AGIWB_WORKSPACE'] = {str(workspace)!r}")
    _write_notebook(lab.folder / "notebooks" / f"{name}.ipynb", cells)
    page.goto(f"{lab.address}/lab/tree/notebooks/{name}.ipynb?reset")
    expect(page.locator(".jp-Notebook")).to_contain_text("Workbench", timeout=PATIENCE_MS)
    expect(page.locator(".jp-NotebookPanel-toolbar")).to_contain_text(
        "Python 3", timeout=PATIENCE_MS
    )
    page.wait_for_selector(
        ".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=PATIENCE_MS
    )
    page.evaluate(_RUN_ALL)
    expect(page.get_by_role("tab", name="Runs", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    try:
        yield
    finally:
        use_theme(page, "Light")
        page.evaluate(_SHUT_DOWN)


def use_theme(page: Page, name: str) -> None:
    """Turn JupyterLab ``Light`` or ``Dark``."""
    page.evaluate(_THEME.format(name))
    light = str(name == "Light").lower()
    page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")


def _write_notebook(path: Path, sources: list[str]) -> None:
    cells = [
        {
            "cell_type": "code", "execution_count": None, "id": f"cell-{place}", "metadata": {},
            "outputs": [], "source": source,
        }
        for place, source in enumerate(sources)
    ]  # fmt: skip
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    path.write_text(json.dumps(content))
