"""What stakeholders see: the Voila reports, opened in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from agiwb import ConvertConfig, SweepConfig, TrainConfig, convert, sweep, train
from tests.browser.servers import running

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_model_card_shows_the_model_chosen(page: Page, workspace: Path) -> None:
    older = train(TrainConfig(architecture="cnn", units=16, epochs=3))
    convert(ConvertConfig(model=older.run.id, formats=("onnx", "keras")))
    recipes = ("baseline", "float16")
    sweep(SweepConfig(model=older.run.id, recipes=recipes, latency_blocks=5))
    newer = train(TrainConfig(architecture="mlp", units=8, epochs=1))
    with running("/", lambda port: ["publish", "--no-browser", f"--port={port}"]) as address:
        page.goto(f"{address}/voila/render/model_card.ipynb")
        card = page.locator(".agiwb-page")
        expect(card.locator("#train")).to_contain_text("is a mlp", timeout=90_000)
        expect(card.locator("section")).to_have_count(1)
        menu = page.get_by_role("combobox", name="Model")
        labels = menu.locator("option").all_inner_texts()
        assert [newer.run.id[:8] in labels[0], older.run.id[:8] in labels[1]] == [True, True]

        menu.select_option(label=labels[1])
        accuracy = f"accuracy on 360 test examples is {older.metrics['test_accuracy']:.1%}"
        expect(card.locator("#train")).to_contain_text(accuracy, timeout=30_000)
        expect(card.locator("#convert")).to_contain_text("2 of 2 formats")
        expect(card.locator("#compress")).to_contain_text("float16")
        curves = card.get_by_alt_text(f"Training curves of {older.model_name}")
        assert curves.evaluate("image => image.naturalWidth") > 500
        assert "ModelCard()" not in page.content()  # the source stays hidden


def test_an_empty_workspace_says_what_to_expect(page: Page, workspace: Path) -> None:
    with running("/", lambda port: ["publish", "--no-browser", f"--port={port}"]) as address:
        page.goto(f"{address}/voila/render/model_card.ipynb")
        expect(page.locator(".agiwb-page")).to_contain_text(
            "No model has been trained in this workspace yet", timeout=90_000
        )
