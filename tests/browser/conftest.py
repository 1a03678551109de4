"""A real browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.browser.lab import LAB_FLAGS, Lab
from tests.browser.servers import running_in

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "test-results"
PICTURES_FOR_DOCS = PICTURES / "docs"
"""What `make screenshots` copies to the documentation."""

expect.set_options(timeout=30_000)  # a kernel that shares its cores answers late


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; without it the tests are skipped, but never in CI.

    Closed after each module: while Playwright runs, its event loop keeps other tests from theirs.
    """
    path = shutil.which("chromium")
    if path is None:
        reason = "chromium is not installed: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(trained_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab for all tests that do without one of their own: each start takes long."""
    folder = tmp_path_factory.mktemp("lab")
    with running_in(folder, "/api", lambda port: ["lab", *LAB_FLAGS, f"--port={port}"]) as address:
        yield Lab(address, folder)


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of the test's own; see ``new_page``."""
    with new_page(browser, request.node.name) as page:
        yield page


@contextlib.contextmanager
def new_page(browser: Browser, name: str) -> Iterator[Page]:
    """Yield a page on which an error is a failure; its last state is pictured."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
    page.close()
    assert errors == []


def picture_for_docs(page: Page, name: str, part: Locator | None = None) -> None:
    """Keep a picture of the page, or of a part of it, under the name it has in docs/pictures."""
    (page if part is None else part).screenshot(path=PICTURES_FOR_DOCS / f"{name}.png")
