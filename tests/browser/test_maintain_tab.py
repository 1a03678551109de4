"""The tab Maintain in a real JupyterLab: gate, promotion and roll-back, clicked through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from agiwb.maintenance.ledger import ledger_of
from tests.browser.conftest import PICTURES, picture_for_docs
from tests.browser.lab import PATIENCE_MS, Lab, use_theme, workbench
from tests.maintenance.challenged import challenged_server
from tests.maintenance.versions import MODEL

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def maintained(tmp_path: Path) -> Iterator[Path]:
    """A workspace with a served champion and its challenger."""
    with challenged_server(tmp_path):
        yield tmp_path


def ask_to(panel: Locator, button: str, why: str) -> None:
    """Press a button, and wait for the question."""
    panel.get_by_role("textbox", name="Reason").fill(why)
    panel.get_by_role("button", name=button, exact=True).click()
    expect(panel.get_by_role("alert").filter(has_text="becomes the champion")).to_be_visible(
        timeout=PATIENCE_MS
    )


def agree(panel: Locator) -> None:
    panel.get_by_role("button", name="Yes, do it").click()


def test_a_challenger_passes_the_gate_is_promoted_and_rolled_back(
    page: Page, lab: Lab, maintained: Path
) -> None:
    with workbench(page, lab, "maintain", maintained):
        page.get_by_role("tab", name="Maintain", exact=True).click()
        panel = page.get_by_role("tabpanel").filter(
            has=page.get_by_role("button", name="Run the gate")
        )
        expect(panel.get_by_role("row", name=re.compile("^challenger 2"))).to_be_visible(
            timeout=PATIENCE_MS
        )
        panel.get_by_role("button", name="Run the gate").click()
        picture = panel.get_by_alt_text(re.compile("^Challenger less champion: "))
        expect(picture).to_be_visible(timeout=PATIENCE_MS)
        expect(panel.get_by_text(re.compile("may take the place of")).first).to_be_visible()

        ask_to(panel, "Promote", "as good, and newer")
        page.set_viewport_size({"width": 1280, "height": 2400})  # all of it in one picture
        panel.get_by_role("heading", name="Who answers").scroll_into_view_if_needed()
        picture_for_docs(page, "workbench-maintain", panel.locator(".agiwb-decides"))
        agree(panel)
        expect(panel.get_by_text(f"The champion of {MODEL} is version 2.")).to_be_visible(
            timeout=PATIENCE_MS
        )
        expect(panel.get_by_role("listitem").filter(has_text="as good, and newer")).to_be_visible()
        PICTURES.mkdir(exist_ok=True)
        panel.screenshot(path=PICTURES / "maintain-light.png")
        use_theme(page, "Dark")
        panel.screenshot(path=PICTURES / "maintain-dark.png")

        ask_to(panel, "Roll back", "a complaint")
        agree(panel)
        expect(panel.get_by_text(f"The champion of {MODEL} is version 1.")).to_be_visible(
            timeout=PATIENCE_MS
        )
    told = [(one.action, one.why) for one in ledger_of(MODEL).decisions()]
    assert told[-2:] == [("promote", "as good, and newer"), ("roll_back", "a complaint")]
