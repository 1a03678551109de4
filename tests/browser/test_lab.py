"""What an engineer sees: a notebook run in JupyterLab, cell by cell."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from agiwb import TrainRecord
from agiwb.runs.store import open_store
from tests.browser.lab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_RUN_ALL = "window.jupyterapp.commands.execute('notebook:run-all-cells')"


def test_the_convert_notebook_runs_as_it_stands(
    page: Page, lab: Lab, digits_run: TrainRecord
) -> None:
    before = {run.id for run in open_store().summaries("convert")}
    page.goto(f"{lab.address}/lab/tree/notebooks/03_convert.ipynb?reset")
    expect(page.locator(".jp-Notebook")).to_contain_text("3 · Convert", timeout=60_000)
    expect(page.locator(".jp-NotebookPanel-toolbar")).to_contain_text("Python 3")
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']")
    page.evaluate(_RUN_ALL)
    table = page.locator(".jp-OutputArea-output table")
    expect(table).to_contain_text("frozen_pb", timeout=120_000)
    expect(table.get_by_text("passed")).to_have_count(6)
    expect(page.locator("[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)
    expect(page.locator(".jp-OutputArea-output img").first).to_be_visible()
    made = [run for run in open_store().summaries("convert") if run.id not in before]
    assert [run.state for run in made] == ["finished"]


def test_the_launchers_tiles_open_the_workbench_and_the_reports(
    page: Page, lab: Lab, digits_run: TrainRecord
) -> None:
    page.goto(f"{lab.address}/lab/tree/notebooks/00_tour.ipynb?reset")
    expect(page.locator(".jp-Notebook")).to_contain_text("The workbench", timeout=60_000)
    page.evaluate("window.jupyterapp.commands.execute('launcher:create')")
    tiles = page.locator(".jp-LauncherCard")
    with page.context.expect_page(timeout=120_000) as opened:  # there when Voila answers
        tiles.filter(has_text="Reports").click()
    expect(opened.value.get_by_role("link", name="Model card")).to_be_visible(timeout=60_000)
    opened.value.close()
    tiles.filter(has_text="Workbench").click()  # runs it, though it was open already
    expect(page.get_by_role("tab", name="Runs", exact=True)).to_be_visible(timeout=90_000)
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")


def test_the_first_page_leads_to_the_workbench_in_our_kernel(page: Page, lab: Lab) -> None:
    page.goto(lab.address)
    start = page.locator(".jp-RenderedMarkdown")
    expect(start.get_by_role("heading", name="Start here")).to_be_visible(timeout=60_000)
    start.get_by_role("link", name="Open the workbench").click()
    notebook = page.locator(".jp-NotebookPanel:visible")  # others may be open behind it
    expect(notebook).to_contain_text("The workbench", timeout=60_000)
    idle = notebook.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']")
    expect(idle).to_be_attached(timeout=60_000)  # a page that is left before is an error
    specs = page.request.get(f"{lab.address}/api/kernelspecs").json()["kernelspecs"]
    assert specs["agiwb"]["spec"]["display_name"] == "agiwb"


def test_it_asks_no_site_for_news(page: Page, lab: Lab) -> None:
    plugin = "@jupyterlab/apputils-extension:notification"
    told = page.request.get(f"{lab.address}/lab/api/settings/{plugin}").json()
    assert told["schema"]["properties"]["fetchNews"]["default"] == "false"
    assert told["schema"]["properties"]["checkForUpdates"]["default"] is False


def test_the_launchers_tensorboard_shows_the_curves(
    page: Page, lab: Lab, digits_run: TrainRecord
) -> None:
    page.goto(f"{lab.address}/lab?reset")
    tile = page.locator(".jp-LauncherCard").filter(has_text="TensorBoard")
    expect(tile.locator("svg")).to_be_visible(timeout=60_000)
    with page.context.expect_page(timeout=120_000) as opened:  # there when TensorBoard answers
        tile.click()
    curves = opened.value
    curves.wait_for_url("**/tensorboard/**", timeout=90_000)
    curves.goto(f"{lab.address}/tensorboard/#timeseries", timeout=90_000)
    run = f"{digits_run.model_name}-{digits_run.run.id[:8]}"
    expect(curves.get_by_text(f"{run}/train").first).to_be_visible(timeout=60_000)
    expect(curves.get_by_text("epoch_accuracy").first).to_be_visible(timeout=60_000)
