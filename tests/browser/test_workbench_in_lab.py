"""The workbench in a real JupyterLab: a training outlives the page and the kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from agiwb.jobs.job import list_jobs
from tests.browser.lab import LAB_FLAGS
from tests.browser.servers import running

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_RUN_ALL = "window.jupyterapp.commands.execute('notebook:run-all-cells')"
_RESTART = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.sessionContext.restartKernel();
}"""
_PATIENCE_MS = 180_000


@pytest.fixture
def stopped(workspace: Path) -> Iterator[None]:
    """Stop what a test that failed has started: it would train for hours."""
    yield
    for job in list_jobs():
        job.cancel(wait=True, grace_s=1)


def open_tour(page: Page, address: str) -> None:
    page.goto(f"{address}/lab/tree/notebooks/00_tour.ipynb?reset")
    expect(page.locator(".jp-Notebook")).to_contain_text("The workbench", timeout=_PATIENCE_MS)
    expect(page.locator(".jp-NotebookPanel-toolbar")).to_contain_text(
        "Python 3", timeout=_PATIENCE_MS
    )


def show_training(page: Page) -> Locator:
    """Run the notebook, and return the panel of the tab Train."""
    page.wait_for_selector(
        ".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=_PATIENCE_MS
    )
    page.evaluate(_RUN_ALL)
    tab = page.get_by_role("tab", name="Train", exact=True)
    expect(tab).to_be_visible(timeout=_PATIENCE_MS)
    tab.click()
    panel = page.get_by_role("tabpanel").filter(has_text="Train a Keras model")
    expect(panel.get_by_role("button", name="Train", exact=True)).to_be_visible(
        timeout=_PATIENCE_MS
    )
    return panel


def test_a_training_outlives_the_page_and_the_kernel(page: Page, stopped: None) -> None:
    with running("/api", lambda port: ["lab", *LAB_FLAGS, f"--port={port}"]) as address:
        open_tour(page, address)
        panel = show_training(page)
        epochs = panel.get_by_role("spinbutton", name="Epochs")
        epochs.fill("0")
        expect(epochs).to_have_accessible_description(re.compile("^`epochs` cannot be 0"))
        expect(panel.get_by_role("button", name="Train", exact=True)).to_be_disabled()
        epochs.fill("9000")
        panel.get_by_role("combobox", name="Architecture").fill("mlp")
        panel.get_by_role("button", name="Train", exact=True).click()
        bar = panel.get_by_role("progressbar", name="Progress of train")  # JupyterLab has one too
        expect(panel.get_by_role("img", name="loss after epoch")).to_be_visible(
            timeout=_PATIENCE_MS
        )
        (job,) = list_jobs()

        page.reload()  # the kernel lives on, the page begins anew
        open_tour(page, address)
        panel = show_training(page)
        expect(panel).to_contain_text(
            f"Running · train digits mlp · job {job.id[:8]}", timeout=_PATIENCE_MS
        )
        expect(panel.get_by_role("spinbutton", name="Epochs")).to_have_value("9000")

        page.evaluate(_RESTART)
        panel = show_training(page)
        expect(panel).to_contain_text(
            f"Running · train digits mlp · job {job.id[:8]}", timeout=_PATIENCE_MS
        )
        expect(bar).to_have_attribute("aria-valuetext", _of_epochs(), timeout=_PATIENCE_MS)

        panel.get_by_role("button", name="Cancel").click()
        expect(panel).to_contain_text("Cancelled · train digits mlp", timeout=_PATIENCE_MS)
        panel.get_by_role("button", name="Resume").click()
        expect(panel).to_contain_text("Running · train digits mlp", timeout=_PATIENCE_MS)
        expect(bar).to_have_attribute("aria-valuetext", _of_epochs(), timeout=_PATIENCE_MS)
        panel.get_by_role("button", name="Cancel").click()
        expect(panel).to_contain_text("Cancelled · train digits mlp", timeout=_PATIENCE_MS)
    assert [one.id for one in list_jobs()] == [job.id]


def _of_epochs() -> re.Pattern[str]:
    return re.compile(r"epoch \d+ of 9000")
