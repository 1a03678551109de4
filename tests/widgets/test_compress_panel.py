"""The Compress and Convert panels without a browser: what a sweep shows, and what is sent on."""

from __future__ import annotations

from pathlib import Path

import pytest

from agiwb import ConvertConfig, SweepRecord, TrainConfig, convert, open_store, train
from agiwb.compression.sweep_config import SweepConfig
from agiwb.compression.trials.told import Told
from agiwb.jobs.job import submit
from agiwb.runs.events import Event
from widgets.candidates import rows_html
from widgets.compress import CompressPanel
from widgets.convert import ConvertPanel, format_of_candidate, lines_html
from widgets.guard import STRICT
from widgets.selection import Selection
from widgets.serve import ServePanel
from widgets.static import BATCH

_PATIENCE_S = 240


@pytest.fixture(scope="module")
def swept(trained_workspace: Path) -> SweepRecord:
    """A sweep that a job has made, as the panel's button would, of a model that no other test has.

    What others convert of the same weights would be its candidates' too.
    """
    model = train(TrainConfig(architecture="mlp", units=32, epochs=6, seed=11))
    config = SweepConfig(
        model=model.run.id,
        recipes=("float16", "dynamic"),
        latency_blocks=5,
        latency_runs=2,
        sensitivity=False,
    )
    job = submit("sweep", config)
    job.wait(_PATIENCE_S)
    record = job.record()
    assert isinstance(record, SweepRecord)
    return record


@pytest.fixture
def panel(swept: SweepRecord, monkeypatch: pytest.MonkeyPatch) -> CompressPanel:
    """The panel with the sweep's result, which it finds by itself."""
    monkeypatch.setenv(STRICT, "1")
    monkeypatch.setenv(BATCH, "1")  # it then waits for the result
    return CompressPanel(Selection())


@pytest.mark.slow
def test_the_newest_sweep_is_there_to_be_clicked(swept: SweepRecord, panel: CompressPanel) -> None:
    assert panel.tradeoff.record == swept
    assert panel.view.layout.display == ""
    assert {mark["name"] for mark in panel.view.size.marks} == {"baseline", "float16", "dynamic"}
    panel.view.size.inspected = "float16"
    assert "calibration_samples: 200" in panel.view.figures.value  # of the recipe file
    panel.view.picture.value = "Bytes after each stage"
    assert 'alt="Bytes after gzip, stage by stage: baseline' in panel.view.drawing.value


@pytest.mark.slow
def test_every_candidate_was_told_of_as_it_was_made(
    swept: SweepRecord, panel: CompressPanel
) -> None:
    assert panel.candidates.layout.display == "none"  # the trade-off has taken its place
    measured = swept.candidate("dynamic").measured
    assert measured is not None
    marks = {mark["name"]: mark for mark in panel.candidates.plot.marks}
    assert set(marks) == {"baseline", "float16", "dynamic"}
    assert marks["dynamic"]["x"] == measured.gzip_bytes / 1024
    assert marks["dynamic"]["y"] == pytest.approx(100 * measured.validation_accuracy)
    assert panel.candidates.rows.value.count("<td>made</td>") == 3
    (job,) = panel.job.children
    assert "dynamic was made." in job.state.messages
    assert "dynamic was made." not in job.words.value  # a row says it


@pytest.mark.slow
def test_a_candidate_is_sent_on_with_its_format(swept: SweepRecord, panel: CompressPanel) -> None:
    convert_panel = ConvertPanel(panel.selection)
    panel.view.size.inspected = "float16"
    panel.convert.click()
    assert panel.selection.model == f"{swept.run.id[:8]}:float16"
    assert convert_panel.state.form.config is not None
    assert convert_panel.state.form.config.model == panel.selection.model
    assert convert_panel.state.form.config.formats == ("litert_float16",)
    assert "Convert tab" in panel.told.value
    assert panel.selection.tab == "Convert"
    panel.selection.tab = "Compress"
    panel.selection.artifact = None  # what other panels chose in this workspace
    panel.serve.click()
    assert panel.selection.artifact is None
    assert panel.selection.tab == "Compress"  # there it says what to do first
    assert "no litert_float16 artifact yet" in panel.told.value
    convert(ConvertConfig(model=panel.selection.model, formats=("litert_float16",)))
    serve = ServePanel(panel.selection)
    assert serve.format.value == "litert_float16"
    serve.model.value = f"{swept.run.id}:dynamic"
    assert "not made yet" in serve.format.options[0][0]


@pytest.mark.slow
def test_the_limits_on_screen_become_the_forms(panel: CompressPanel) -> None:
    panel.tradeoff.gzip_bytes = 4321
    panel.reuse_limits.click()
    assert panel.state.form.config is not None
    assert panel.state.form.config.max_bytes == 4321


@pytest.mark.slow
def test_in_a_batch_the_panel_is_a_picture_and_a_table(panel: CompressPanel) -> None:
    bundle = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" not in bundle
    assert 'src="data:image/png;base64,' in bundle["text/html"]
    assert "float16" in bundle["text/html"]


@pytest.mark.slow
def test_nothing_is_sent_on_when_nothing_is_looked_at(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(STRICT, raising=False)
    panel = CompressPanel()
    assert panel.view.layout.display == "none"
    panel.convert.click()
    assert "No candidate is looked at" in panel.told.value
    assert panel.selection.model is None
    assert open_store().summaries() == []


def test_a_row_is_waiting_made_or_failed() -> None:
    told = {
        "int8": Told("int8", validation_accuracy=0.5, gzip_bytes=2048),
        "qat": Told("qat", "No <room>."),
    }
    shown = rows_html(("baseline", "int8"), told)
    assert "<td>baseline</td><td>to be made</td>" in shown
    assert "<td>int8</td><td>made</td><td>50.00%</td><td>2.0 KiB</td>" in shown
    assert "<td>qat</td><td>failed: No &lt;room&gt;.</td>" in shown


def test_each_format_has_a_line_once_one_is_checked() -> None:
    assert lines_html(("onnx", "litert"), ()) == ""
    shown = lines_html(("onnx", "litert"), [Event(message="onnx agrees: error at most 1e-7.")])
    assert "onnx</th><td>agrees: error at most 1e-7.</td>" in shown
    assert "litert</th><td>not yet</td>" in shown


def test_only_candidates_bring_a_format() -> None:
    assert format_of_candidate("1234abcd:prune_80+int8") == "litert_int8"
    assert format_of_candidate("1234abcd:onnx_int8") is None
    assert format_of_candidate("digits-cnn/2") is None
    assert format_of_candidate("https://example.com") is None
