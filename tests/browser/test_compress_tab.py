"""From a sweep to a converted candidate, by mouse and keyboard, in a real JupyterLab."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from agiwb import TrainRecord
from agiwb.runs.store import open_store
from tests.browser.conftest import picture_for_docs
from tests.browser.lab import PATIENCE_MS, Lab, workbench

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def open_tab(page: Page, name: str, button: str) -> Locator:
    """Open a tab of the workbench, and return its panel."""
    page.get_by_role("tab", name=name, exact=True).click()
    return panel_with(page, button)


def panel_with(page: Page, button: str) -> Locator:
    """Return the panel of the open tab, once it has this button."""
    panel = page.get_by_role("tabpanel").filter(
        has=page.get_by_role("button", name=button, exact=True)
    )
    expect(panel).to_be_visible(timeout=PATIENCE_MS)
    return panel


def sweep_two_recipes(panel: Locator, model: str) -> None:
    """Compress with a quick sweep of two recipes, one of which is added in the editor."""
    panel.get_by_label("Model", exact=True).fill(model)
    panel.get_by_label("Recipes", exact=True).fill("float16")
    panel.get_by_label("Add a recipe").fill("dynamic")
    panel.get_by_role("button", name="Add", exact=True).click()
    expect(panel.get_by_role("button", name="Remove dynamic")).to_be_visible()
    panel.get_by_label(re.compile("^Show .* more settings")).check()
    panel.get_by_label("Latency blocks").fill("5")
    panel.get_by_label("Sensitivity").uncheck()
    panel.get_by_role("button", name="Compress", exact=True).click()
    expect(panel.get_by_role("row", name=re.compile("^baseline made"))).to_be_visible(
        timeout=PATIENCE_MS
    )


def test_a_candidate_is_clicked_chosen_by_keyboard_and_converted(
    page: Page, lab: Lab, digits_run: TrainRecord
) -> None:
    with workbench(page, lab, "compress"):
        panel = open_tab(page, "Compress", "Compress")
        sweep_two_recipes(panel, digits_run.run.id)

        plot = panel.get_by_role("group", name="Accuracy and size of 3 forms")
        expect(plot).to_be_visible(timeout=PATIENCE_MS)
        for name in ("baseline", "dynamic", "float16"):  # whose neighbours may reach over them
            box = plot.locator(f"[data-name={name}] .shape").bounding_box()
            assert box is not None
            page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            point = plot.get_by_role("button", name=f"{name}:")
            expect(point).to_have_attribute("aria-pressed", "true")
        expect(panel.get_by_role("columnheader", name="float16")).to_be_visible()

        limit = plot.get_by_role("slider", name="Limit on size after gzip")
        expect(limit).to_have_attribute("aria-valuetext", "no limit")
        plot.evaluate("plot => plot.scrollIntoView({block: 'center'})")
        drag_to_the_left_end(page, limit.locator(".grip"))  # smaller than any of them
        expect(panel.get_by_text("None would be chosen.")).to_be_visible()
        limit.press("End")
        expect(panel.get_by_text(re.compile("^Would be chosen"))).to_be_visible()

        plot.evaluate("plot => plot.scrollIntoView({block: 'center'})")
        picture_for_docs(page, "workbench-compress")

        panel.get_by_role("button", name="Convert this").click()
        panel = panel_with(page, "Convert")  # the tab opens by itself, at its beginning
        expect(page.get_by_text("Selected: model")).to_be_in_viewport()
        swept = open_store().summaries("sweep")[0]
        expect(panel.get_by_role("textbox", name="Model", exact=True)).to_have_value(
            f"{swept.id[:8]}:float16"
        )
        panel.get_by_role("button", name="Convert", exact=True).click()
        expect(panel.get_by_role("row", name=re.compile("^litert_float16 agrees"))).to_be_visible(
            timeout=PATIENCE_MS
        )
        expect(panel.get_by_alt_text(re.compile("^Parity of .* in 1 formats"))).to_be_visible(
            timeout=PATIENCE_MS
        )
        tidy_up(open_tab(page, "Runs", "Delete"), open_store().summaries("convert")[0].id)


def drag_to_the_left_end(page: Page, grip: Locator) -> None:
    """Drag the limit of the plot by its grip, with the mouse."""
    box = grip.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 2000, y, steps=10)
    page.mouse.up()


def tidy_up(panel: Locator, run_id: str) -> None:
    """Note, pin, delete and restore a run that nothing was made from."""
    runs = panel.get_by_label("Run", exact=True)
    row = runs.locator("option").filter(has_text=run_id[:8])
    runs.select_option(label=row.inner_text())
    panel.get_by_role("textbox", name="Note").fill("for the small device")
    panel.get_by_role("button", name="Keep the note").click()
    panel.get_by_role("button", name="Pin", exact=True).click()
    expect(panel.get_by_role("row", name="note for the small device")).to_be_visible()
    panel.get_by_role("button", name="Delete", exact=True).click()
    expect(panel.get_by_role("alert").filter(has_text="is pinned")).to_be_visible()
    panel.get_by_role("button", name="Unpin", exact=True).click()
    panel.get_by_role("button", name="Delete", exact=True).click()
    expect(panel.get_by_text("is deleted.")).to_be_visible(timeout=PATIENCE_MS)
    panel.get_by_role("button", name="Undo the deletion").click()
    expect(panel.get_by_text("is back.")).to_be_visible(timeout=PATIENCE_MS)
    expect(panel.get_by_role("row", name="note for the small device")).to_be_visible()
