"""What stakeholders see: the reports, served by Voila or as files, opened in a browser."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from agiwb.batch.reports import write_reports
from tests.browser.conftest import PICTURES, new_page, picture_for_docs
from tests.browser.servers import running
from tests.reported_workspace import Reported

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOKEN = "for-the-tests-only"  # noqa: S105
NAMES = ("audit", "evaluation", "model_card", "monitoring", "tradeoff")
FIRST_WORDS = {
    "audit": "runs led to this model",
    "evaluation": "examples of the test split of digits",
    "model_card": "examples is",
    "monitoring": "windows judged in this time",
    "tradeoff": "forms are usable",
}
"""What each report says once it is read."""
_PATIENCE_MS = 240_000
_STOP_SOON = [  # but not before a page that is slow to open has found its kernel
    "--MappingKernelManager.cull_idle_timeout=30",
    "--MappingKernelManager.cull_interval=2",
]

_PICTURES_ARE_WHOLE = """
[...document.images].every(one => one.getBoundingClientRect().right <= innerWidth)
"""


@pytest.fixture(scope="module")
def voila(reported: Reported) -> Iterator[str]:
    """The address of the reports, as ``agiwb publish`` serves them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_TOKEN", TOKEN)
        with running("/", _publish) as address:
            yield address


@pytest.fixture(scope="module")
def site(reported: Reported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports as files."""
    folder = tmp_path_factory.mktemp("site")
    assert [path.stem for path in write_reports(folder)] == list(NAMES)
    return folder


def _publish(port: int) -> list[str]:
    return ["publish", "--no-browser", f"--port={port}", *_STOP_SOON]


class Opened:
    """Reports as they were opened first: each page has a kernel, and those are dear."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.asked: dict[str, list[str]] = {}
        self._browser = browser
        self._address = address
        self._pages: dict[str, Page] = {}
        self._all = contextlib.ExitStack()

    def page(self, name: str) -> Page:
        """Return the page of a report, which other tests have perhaps used before."""
        if name not in self._pages:
            page = self._all.enter_context(new_page(self._browser, f"last-of-{name}"))
            self.asked[name] = open_report(page, self._address, name)
            self._pages[name] = page
        return self._pages[name]

    def close(self) -> None:
        """Close all of them; an error on any is a failure."""
        self._pages.clear()
        self._all.close()


@pytest.fixture(scope="module")
def opened(browser: Browser, voila: str) -> Iterator[Opened]:
    """The reports' pages."""
    made = Opened(browser, voila)
    yield made
    made.close()


def open_report(page: Page, address: str, name: str) -> list[str]:
    """Open a report, wait until it is read, and return what was asked of others meanwhile."""
    asked: list[str] = []
    ours = (address, address.replace("http", "ws", 1), "data:", "blob:")
    page.on("request", lambda it: None if it.url.startswith(ours) else asked.append(it.url))
    page.goto(f"{address}/voila/render/{name}.ipynb?token={TOKEN}", timeout=_PATIENCE_MS)
    menu = page.get_by_role("combobox").first  # the page is alive, not its picture alone
    expect(menu).to_be_visible(timeout=_PATIENCE_MS)
    expect(page.locator(".agiwb-page").first).to_contain_text(
        FIRST_WORDS[name], timeout=_PATIENCE_MS
    )
    return asked


@pytest.mark.parametrize("name", NAMES)
def test_each_report_is_whole_on_a_desk_and_on_a_phone(opened: Opened, name: str) -> None:
    page = opened.page(name)
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        expect(page.locator(".agiwb-about")).to_contain_text("As of 20")
        digest = page.locator(".agiwb-about code").first.inner_text()
        assert re.fullmatch("[0-9a-f]{12}", digest)
        page.wait_for_function(f"document.documentElement.scrollWidth <= {width}")
        page.wait_for_function(_PICTURES_ARE_WHOLE)
        assert "from widgets import" not in page.content()  # the source stays hidden
        broken = "[...document.images].filter(one => one.complete && !one.naturalWidth).length"
        assert page.evaluate(broken) == 0
        page.screenshot(path=PICTURES / f"report-{name}-{width}.png", full_page=True)
    assert opened.asked[name] == []


def test_the_threshold_is_moved_by_keyboard(opened: Opened, reported: Reported) -> None:
    page = opened.page("evaluation")
    picture_for_docs(page, "report-evaluation")
    page.get_by_role("combobox", name="Class").select_option("3")
    threshold = page.get_by_role("spinbutton", name="Threshold")
    threshold.fill("0")
    threshold.press("Enter")
    count = sum(reported.evaluated.confusion[3])
    expect(page.get_by_text(f"360 examples are named and {count} of them rightly")).to_be_visible()
    slider = page.locator(".noUi-handle")
    slider.focus()
    slider.press("End")
    expect(page.get_by_text("above 1.00, 0 examples are named")).to_be_visible()
    page.get_by_role("combobox", name="Compare with").select_option(index=1)
    expect(page.get_by_text("as if both had been asked other examples")).to_be_visible()


def test_time_and_version_are_chosen(opened: Opened) -> None:
    page = opened.page("monitoring")
    page.get_by_role("combobox", name="Time").select_option("All")
    expect(page.get_by_text("240 examples were asked")).to_be_visible()
    page.get_by_role("combobox", name="Version").select_option("2")
    expect(page.get_by_text("120 examples were asked")).to_be_visible()
    page.get_by_role("combobox", name="Time").select_option("Between two times")
    since = page.get_by_role("textbox", name="From (UTC)")
    since.fill("<b>yesterday</b>")
    since.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("is no time of ISO 8601")


def test_the_model_card_shows_the_model_chosen(opened: Opened, reported: Reported) -> None:
    page = opened.page("model_card")
    menu = page.get_by_role("combobox", name="Model")
    labels = menu.locator("option").all_inner_texts()
    menu.select_option(label=next(one for one in labels if reported.other.run.id[:8] in one))
    card = page.locator(".agiwb-page")
    expect(card.locator("#train")).to_contain_text("is a mlp")
    curves = card.get_by_alt_text(f"Training curves of {reported.other.model_name}")
    assert curves.evaluate("image => image.naturalWidth") > 500


def test_who_has_no_token_sees_nothing(browser: Browser, voila: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    for path in ("", "voila/render/audit.ipynb", "voila/tree"):
        page.goto(f"{voila}/{path}")
        assert "/login" in page.url
    context.close()


def test_a_viewer_reads_no_source_and_runs_no_code(
    opened: Opened, voila: str, tmp_path: Path
) -> None:
    page = opened.page("audit")
    for path in ("voila/files/audit.ipynb", "api/contents", "api/kernels", "api/sessions"):
        answer = page.request.get(f"{voila}/{path}")
        assert answer.status in {403, 404}, path
    mark = tmp_path / "written-by-a-viewer"
    kernel = page.evaluate(
        "JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId"
    )
    message = {
        "header": {"msg_id": "1", "msg_type": "execute_request", "session": "s", "username": "",
                   "version": "5.3", "date": ""},
        "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": [],
        "content": {"code": f"open({str(mark)!r}, 'w')", "silent": False, "allow_stdin": False,
                    "store_history": False, "user_expressions": {}, "stop_on_error": True},
    }  # fmt: skip
    address = f"{voila.replace('http', 'ws', 1)}/api/kernels/{kernel}/channels?session_id=s"
    opened = page.evaluate(
        """([address, message]) => new Promise(done => {
          const socket = new WebSocket(address);
          socket.onopen = () => { socket.send(message); setTimeout(() => done(true), 4000); };
          socket.onerror = () => done(false);
        })""",
        [address, json.dumps(message)],
    )
    assert opened
    assert not mark.exists()


def test_kernels_return_to_the_number_that_wait(
    browser: Browser, voila: str, opened: Opened
) -> None:
    opened.close()
    assert wait_for_kernels(len(NAMES)) == len(NAMES)
    pages = [browser.new_page() for _ in range(2)]
    for page in pages:
        open_report(page, voila, "audit")
    assert wait_for_kernels(len(NAMES) + 2) == len(NAMES) + 2
    for page in pages:
        page.close()
    assert wait_for_kernels(len(NAMES)) == len(NAMES)


def wait_for_kernels(count: int) -> int:
    """Return how many kernels this process's servers have, once it is ``count`` or time is up."""
    deadline = time.monotonic() + 180
    while True:
        found = len(list(kernels_of(psutil.Process(os.getpid()))))
        if found == count or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def kernels_of(process: psutil.Process) -> Iterator[psutil.Process]:
    for child in process.children(recursive=True):
        try:
            if any("ipykernel_launcher" in word for word in child.cmdline()):
                yield child
        except psutil.Error:  # ended meanwhile
            continue


@pytest.mark.parametrize("name", NAMES)
def test_each_file_needs_nothing_but_a_browser(page: Page, site: Path, name: str) -> None:
    asked: list[str] = []
    page.on("request", lambda it: asked.append(it.url))
    address = (site / f"{name}.html").as_uri()
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(address)
        expect(page.locator(".agiwb-page").first).to_contain_text(FIRST_WORDS[name])
        expect(page.locator(".agiwb-about")).to_contain_text("As of 20")
        page.wait_for_function(f"document.documentElement.scrollWidth <= {width}")
        page.screenshot(path=PICTURES / f"file-{name}-{width}.png", full_page=True)
    assert {url for url in asked if not url.startswith("data:")} == {address}
    assert "from widgets import" not in page.content()
