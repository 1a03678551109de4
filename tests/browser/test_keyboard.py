"""The workbench without a mouse: JupyterLab leaves a panel's keys to it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from agiwb import TrainRecord
from tests.browser.lab import PATIENCE_MS, Lab, workbench

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_run_is_chosen_and_traced_by_keyboard(
    page: Page, lab: Lab, digits_run: TrainRecord, digits_cnn_run: TrainRecord
) -> None:
    with workbench(page, lab, "keyboard"):
        cells = page.locator(".jp-Cell").count()
        page.get_by_role("tab", name="Data", exact=True).focus()
        page.keyboard.press("ArrowLeft")  # from the first to the last
        expect(page.get_by_role("tab", name="Runs", exact=True)).to_be_focused()
        page.keyboard.press("Enter")
        runs = page.get_by_label("Run", exact=True)
        expect(runs).to_be_visible(timeout=PATIENCE_MS)
        runs.focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowUp")
        expect(runs).to_be_focused()
        assert runs.evaluate("list => getComputedStyle(list).outline").endswith("solid 2px")
        chosen = runs.evaluate("list => [list.selectedIndex, list.options.length]")
        assert chosen[0] == chosen[1] - 2
        expect(page.get_by_role("row", name="figures")).to_be_visible(timeout=PATIENCE_MS)
        page.keyboard.press("x")  # JupyterLab would cut the cell
        page.keyboard.press("d")
        page.keyboard.press("d")
        assert page.locator(".jp-Cell").count() == cells

        button = page.get_by_role("button", name="Lineage")
        button.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_alt_text("Lineage: ")).to_be_visible(timeout=PATIENCE_MS)
        page.get_by_label("Note").focus()
        page.keyboard.press("Escape")
        page.keyboard.press("a")  # a new cell: the keys are JupyterLab's again
        expect(page.locator(".jp-Cell")).to_have_count(cells + 1)
