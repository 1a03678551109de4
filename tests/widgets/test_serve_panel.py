"""The Serve and Runs panels without a browser: a real server of a real model, a real history."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from agiwb import ConvertConfig, TrainConfig, TrainRecord, convert, train
from agiwb.serving.detached import find_server, list_servers
from agiwb.serving.example_inputs import row_of_drawing
from widgets.guard import STRICT
from widgets.runs import RunsPanel
from widgets.selection import Selection
from widgets.serve import ServePanel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def panel(digits_cnn_run: TrainRecord) -> Iterator[ServePanel]:
    made = convert(ConvertConfig(model=digits_cnn_run.run.id, formats=("onnx",)))
    shown = ServePanel(Selection(artifact=str(made.file("onnx"))))
    shown.start.click()
    deadline = time.monotonic() + 60
    while not shown.trial.kind and shown.state.state != "ended" and time.monotonic() < deadline:
        time.sleep(0.1)
    shown.trial.settle()
    yield shown
    for server in list_servers():
        server.stop()


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STRICT, "1")


def drawn_one() -> bytes:
    image = Image.new("L", (196, 196))
    ImageDraw.Draw(image).line([(100, 30), (96, 170)], fill=255, width=20)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_a_server_started_here_is_seen_everywhere(panel: ServePanel) -> None:
    assert panel.state.state == "running", panel.state.problem
    assert panel.state.selection.endpoint == panel.state.servers[0]["address"]
    assert panel.chosen.value == panel.state.chosen
    other = ServePanel()
    assert other.state.chosen == panel.state.chosen
    assert str(panel.state.servers[0]["pid"]) in other.static_html()


def test_formats_that_were_made_are_offered_first(trained_workspace: Path) -> None:
    run = train(TrainConfig(name="offered", architecture="mlp", units=8, epochs=1))
    made = convert(ConvertConfig(model=run.run.id, formats=("litert", "keras")))
    shown = ServePanel()
    for reference in (run.run.id, run.model_name, f"{run.model_name}/1"):
        shown.model.value = reference
        assert [label for label, _ in shown.format.options][:2] == ["litert", "keras"]
        assert shown.format.value == "litert"
    shown.model.value = str(made.file("keras"))
    assert [label for label, _ in shown.format.options][:3] == [
        "keras", "litert", "onnx (not made yet)",
    ]  # fmt: skip
    shown.model.value = "no such model"
    assert shown.format.options[0] == ("onnx (not made yet)", "onnx")
    assert shown.format.value == "keras"


def test_a_drawing_is_answered_explained_and_written_as_curl(panel: ServePanel) -> None:
    assert (panel.trial.kind, panel.trial.white) == ("image", 16.0)
    panel.trial.draw(drawn_one())
    answer = panel.trial.answer
    assert answer is not None
    ranked = answer.ranked(panel.trial.classes)
    assert sorted(name for name, _ in ranked) == [str(digit) for digit in range(10)]
    assert sum(value for _, value in ranked) == pytest.approx(1, abs=1e-4)
    endpoint = panel.state.endpoint
    row = row_of_drawing(drawn_one(), endpoint.signature.inputs[0], 16.0)
    np.testing.assert_allclose(endpoint.predict(row[None])[0], answer.first, rtol=1e-5)
    done = subprocess.run(answer.curl, shell=True, capture_output=True, check=True, text=True)  # noqa: S602  it is what a user pastes
    assert '"predictions"' in done.stdout

    panel.trial.explain()
    panel.trial.settle()
    assert f"What {ranked[0][0]} rests on" in panel.trial.explanation


def test_an_example_of_the_data_is_asked_beside_its_truth(panel: ServePanel) -> None:
    panel.trial.take_example()
    panel.trial.settle()
    example = panel.trial.example
    assert example is not None
    assert example.row.size == 64
    assert panel.trial.truth == example.truth
    assert f"The data set says {example.truth}" in panel.trial_html()
    panel.trial.draw(drawn_one())
    assert "The data set says" not in panel.trial_html()


def test_an_empty_pad_says_what_to_do(panel: ServePanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STRICT)
    panel.trial.draw(b"")
    assert panel.trial.error == "Nothing was drawn. Draw on the pad first."


def test_another_version_is_tried_and_promoted(
    panel: ServePanel, digits_run: TrainRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = convert(ConvertConfig(model=digits_run.run.id, formats=("onnx",)))
    panel.traffic.refresh()
    _, view = panel.body.children
    assert digits_run.run.id in view.version.options
    panel.traffic.canary(str(made.file("onnx")), 25.0)
    panel.traffic.settle()
    assert panel.traffic.told == "Version 2 answers 25 % of the clients."
    assert panel.traffic.rollout["canary"]["version"] == 2
    panel.traffic.promote()
    panel.traffic.settle()
    assert panel.traffic.rollout["champion"] == 2
    panel.traffic.roll_back()
    panel.traffic.settle()
    assert panel.traffic.rollout["champion"] == 1


def test_a_load_test_is_told_in_figures(panel: ServePanel) -> None:
    panel.traffic.measure(0.5, 2)
    panel.traffic.settle()
    assert panel.traffic.load_test.failed == 0
    assert panel.traffic.load_test.requests > 0


def test_the_runs_are_filtered_compared_and_traced(
    panel: ServePanel, digits_run: TrainRecord, digits_cnn_run: TrainRecord
) -> None:
    runs = RunsPanel()
    runs.step.value = "train"
    shown = [run_id for _, run_id in runs.list.options]
    assert {digits_run.run.id, digits_cnn_run.run.id} <= set(shown)
    runs.text.value = "cnn"
    assert digits_run.run.id not in [run_id for _, run_id in runs.list.options]
    runs.text.value = ""
    runs.list.value = digits_run.run.id
    runs.state.compare(digits_cnn_run.run.id)
    runs.state.settle()
    assert "architecture" in runs.comparison.value
    assert runs.comparison.value.count("<img") == 1
    runs.state.trace()
    assert digits_run.run.id[:8] in runs.lineage.value
    assert digits_run.run.id[:8] in runs.static_html()


def test_showing_the_panels_imports_nothing_heavy(trained_workspace: Path) -> None:
    code = "import sys; from widgets import RunsPanel, ServePanel; ServePanel(); RunsPanel()\n"
    code += "heavy = {'tensorflow', 'keras', 'mlflow', 'pandas'} & set(sys.modules)\n"
    code += "sys.exit(' '.join(sorted(heavy)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.stderr.strip() == ""


def test_stopping_ends_the_process(panel: ServePanel) -> None:
    assert panel.state.chosen is not None
    process = find_server(panel.state.chosen).process()
    panel.stop.click()
    panel.state.settle()
    assert process is not None
    assert not process.is_running() or process.status() == "zombie"
    assert panel.state.servers == []
    assert panel.state.selection.endpoint is None
