"""A digit drawn with the mouse, answered by a server of a real model."""

from __future__ import annotations

import io
import math

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from agiwb import ConvertConfig, ServeConfig, TrainRecord, convert
from agiwb.serving.detached import serve_detached
from tests.browser.conftest import PICTURES, picture_for_docs
from tests.browser.lab import Lab, use_theme, workbench

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def draw_a_zero(page: Page) -> None:
    """Draw an upright ring on the pad."""
    pad = page.get_by_label("Drawing pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    across, down = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    turns = [math.tau * step / 16 for step in range(18)]
    places = [(across - 40 * math.sin(turn), down - 65 * math.cos(turn)) for turn in turns]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places:
        page.mouse.move(*place, steps=3)
    page.mouse.up()


def scanned() -> bytes:
    """Return an image file of a light stroke on dark paper."""
    image = Image.new("L", (60, 80))
    ImageDraw.Draw(image).line([(30, 8), (28, 72)], fill=255, width=12)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_a_drawn_digit_is_answered(page: Page, lab: Lab, digits_cnn_run: TrainRecord) -> None:
    made = convert(ConvertConfig(model=digits_cnn_run.run.id, formats=("onnx",)))
    config = ServeConfig(model=str(made.file("onnx")), rest_api_port=0, grpc=False)
    server = serve_detached(config)
    try:
        server.wait_until_ready()
        with workbench(page, lab, "serve"):
            page.get_by_role("tab", name="Serve", exact=True).click()
            expect(page.get_by_label("Drawing pad")).to_be_visible(timeout=60_000)
            expect(page.get_by_role("spinbutton", name="Value of white")).to_have_value("16")
            draw_a_zero(page)
            answer = page.get_by_role("status").filter(has_text="Answer:")
            expect(answer).to_be_visible(timeout=30_000)
            page.get_by_role("button", name="Ask").evaluate(
                "button => button.scrollIntoView({block: 'center'})"
            )
            picture_for_docs(page, "workbench-serve")
            with page.expect_file_chooser() as opened:
                page.get_by_role("button", name="Upload an image").click()
            opened.value.set_files(
                {"name": "no.png", "mimeType": "image/png", "buffer": b"no image"}
            )
            expect(page.get_by_text("no image that can be read")).to_be_visible()
            expect(answer).to_be_hidden()  # it was the drawing's
            with page.expect_file_chooser() as opened:
                page.get_by_role("button", name="Upload an image").click()
            opened.value.set_files({"name": "1.png", "mimeType": "image/png", "buffer": scanned()})
            expect(page.get_by_alt_text("what the model sees")).to_be_visible()
            expect(answer).to_be_visible()
            page.get_by_text("The same call by curl").click()
            expect(page.get_by_text("curl -d")).to_be_visible()
            PICTURES.mkdir(exist_ok=True)
            page.screenshot(path=PICTURES / "serve-light.png")
            use_theme(page, "Dark")
            page.screenshot(path=PICTURES / "serve-dark.png")
    finally:
        server.stop()
