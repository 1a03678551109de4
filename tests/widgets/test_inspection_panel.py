"""The panel that looks inside a model: what it shows of one, of two, and of a broken file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serving.onnx_models import write_mlp
from widgets import InspectionPanel, Selection


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mlp(tmp_path_factory.mktemp("one"))


def test_the_selected_artifact_is_inspected(model: Path) -> None:
    panel = InspectionPanel(Selection(artifact=str(model)))
    panel.button.click()
    panel.state.settle()
    assert "MatMul 2" in panel.page.value
    assert panel.static_html() == panel.page.value
    assert not panel.button.disabled


def test_two_models_are_held_against_each_other(model: Path, tmp_path: Path) -> None:
    other = write_mlp(tmp_path, hidden=64)
    panel = InspectionPanel()
    assert panel.button.disabled
    panel.model.value, panel.other.value = str(model), str(other)
    panel.button.click()
    panel.state.settle()
    assert "only in the second: 2." in panel.page.value
    assert f"<code>{other}</code>" in panel.page.value


def test_a_broken_file_is_told_and_nothing_else_is_shown(model: Path, tmp_path: Path) -> None:
    whole = (model / "model.onnx").read_bytes()
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(whole[: len(whole) // 2])
    panel = InspectionPanel()
    panel.model.value = str(model)
    panel.button.click()
    panel.state.settle()
    panel.model.value = str(broken)
    panel.button.click()
    panel.state.settle()
    assert "cannot be read as onnx" in panel.state.error
    assert panel.page.value == ""


def test_the_path_on_screen_is_what_the_import_begins_with(model: Path, workspace: Path) -> None:
    panel = InspectionPanel()
    panel.model.value = str(model / "model.onnx")
    panel.importing.value = True
    (form,) = panel.import_panel.children
    assert form.state.form.config.path == model / "model.onnx"
