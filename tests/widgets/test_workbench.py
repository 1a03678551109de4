"""The workbench without a browser: quick to show, one selection, jobs found again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agiwb import TrainRecord
from agiwb.jobs.job import list_jobs, open_job, submit
from agiwb.planning.plan import PlanConfig
from agiwb.training.config import TrainConfig
from widgets import JobView, PlanPanel, Selection, TrainPanel, Workbench
from widgets.data import DataPanel
from widgets.guard import STRICT
from widgets.job import JobList
from widgets.step_panel import StepPanel
from widgets.step_state import StepState
from widgets.workbench import TABS

_HEAVY = (
    "tensorflow", "keras", "mlflow", "pandas", "matplotlib", "sklearn", "scipy", "onnx",
    "onnxruntime", "papermill", "shap",
)  # fmt: skip
_LONG = {"architecture": "mlp", "units": 8, "epochs": 10_000}


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STRICT, "1")


@pytest.fixture(autouse=True)
def no_job_is_left(strict: None) -> Iterator[None]:
    """Stop what a test that failed has started: it would train for hours."""
    yield
    for job in list_jobs():
        job.cancel(wait=True, grace_s=1)


def until(is_so: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


@pytest.mark.slow
def test_no_tab_imports_a_heavy_library(workspace: Path) -> None:
    code = (
        "import sys\n"
        "from widgets import Workbench\n"
        "from widgets.workbench import TABS\n"
        "bench = Workbench()\n"
        "for index in range(len(TABS)): bench.tabs.selected_index = index\n"
        "assert list(bench.state.panels) == list(TABS), bench.state.error\n"
        f"found = [name for name in {_HEAVY!r} if name in sys.modules]\n"
        "assert not found, found\n"
    )
    environment = {**os.environ, "AGIWB_WORKSPACE": str(workspace)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_a_tab_is_made_when_it_is_opened(workspace: Path) -> None:
    bench = Workbench()
    assert list(bench.state.panels) == ["Data"]
    bench.tabs.selected_index = list(TABS).index("Train")
    assert list(bench.state.panels) == ["Data", "Train"]
    assert bench.tabs.titles == tuple(TABS)


def test_a_panel_opens_another_tab(workspace: Path) -> None:
    bench = Workbench()
    bench.state.selection.tab = "Convert"
    assert bench.tabs.selected_index == list(TABS).index("Convert")
    assert "Convert" in bench.state.panels
    bench.tabs.selected_index = list(TABS).index("Data")  # by mouse
    bench.state.selection.tab = "Convert"
    assert bench.tabs.selected_index == list(TABS).index("Convert")


def test_the_panels_share_one_selection(workspace: Path) -> None:
    selection = Selection()
    train, data = TrainPanel(selection), DataPanel(selection)
    train.form.rows["dataset"].control.value = "wine"
    assert selection.dataset == "wine"
    assert data.choice.value == "wine"
    selection.dataset = "iris"
    assert train.form.rows["dataset"].control.value == "iris"
    convert = StepPanel("convert", selection)
    selection.model = "digits-mlp"
    assert convert.form.state.values["model"] == "digits-mlp"
    selection.artifact = "/of/digits-mlp/onnx"
    selection.model = "wine-mlp"
    assert selection.artifact is None


def test_the_form_has_the_format_of_the_artifact_that_is_selected(
    workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.tflite").write_bytes(b"a file")
    selection = Selection(model="digits-mlp", artifact=str(tmp_path))
    for step in ("evaluate", "monitor", "plan"):
        assert StepPanel(step, selection).form.state.values["format"] == "litert"
    panel = StepPanel("evaluate", selection)
    panel.form.state.enter("format", "onnx")
    selection.model = "wine-mlp"
    assert panel.form.state.values["format"] == "onnx"


def test_a_wrong_form_cannot_be_run(workspace: Path) -> None:
    panel = TrainPanel()
    assert not panel.button.disabled
    panel.form.rows["epochs"].control.value = 0
    assert panel.button.disabled


def test_a_plan_is_ready_to_be_made(workspace: Path) -> None:
    panel = PlanPanel(Selection(model="digits-cnn"))
    assert panel.form.state.config == PlanConfig(model="digits-cnn", rps=500, p99_ms=50)
    panel.form.rows["rps"].control.value = "none"
    assert panel.button.disabled
    panel.form.preset.value = panel.form.preset.options[-1][1]
    assert panel.form.state.config == PlanConfig(model="digits-cnn", rps=50, p99_ms=1000, rows=64)


def test_queued_jobs_say_how_many_are_before_them(workspace: Path) -> None:
    jobs = [submit("train", TrainConfig(**_LONG, seed=seed)) for seed in range(3)]
    until(lambda: jobs[0].state == "running")
    shown = JobList()
    assert [row[3] for row in shown.state.rows[:2]] == ["queued, 1 before it", "queued, next"]
    shown.menu.value = jobs[1].id
    (view,) = shown.shown.children
    seen: list[Any] = []
    shown.shown.observe(seen.append, "children")
    submit("train", TrainConfig(**_LONG, seed=3))
    shown.state.refresh()
    assert len(shown.menu.options) == 5
    assert shown.menu.value == view.state.id == jobs[1].id
    assert not seen, "the job that is looked at was shown anew"
    jobs[1].cancel(wait=True, grace_s=1)
    shutil.rmtree(jobs[1].folder.path)
    shown.state.refresh()
    assert (shown.menu.value, shown.shown.children) == ("", ())


def test_a_job_that_is_deleted_as_it_is_chosen_is_said_to_be_gone(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(STRICT)
    job = submit("train", TrainConfig(**_LONG))
    shown = JobList()
    job.cancel(wait=True, grace_s=1)
    shutil.rmtree(job.folder.path)
    shown.state.choose(job.id)  # as the menu does, which may know of its end by now
    assert job.id[:8] in shown.state.error
    assert (shown.menu.value, shown.shown.children) == ("", ())
    shown.state.refresh()
    assert shown.state.rows == ()
    assert shown.state.error, "the message was gone before anyone could read it"


@pytest.mark.slow
def test_a_job_is_stopped_found_again_and_resumed(workspace: Path) -> None:
    state = StepState("train", Selection())
    state.form.change(_LONG)
    state.run()
    until(lambda: state.job.curves.get("train_loss"))
    assert state.job.fraction is not None

    # What another kernel sees: the same job, and the form it was started with.
    again = TrainPanel()
    assert again.state.job.id == state.job.id
    assert again.state.form.config == state.form.config
    (view,) = again.job.children
    assert isinstance(view, JobView)
    view.stop.click()
    until(lambda: view.state.state == "cancelled")
    assert view.stop.layout.display == "none"
    assert view.resume.layout.display == ""
    epochs = len(view.state.curves["train_loss"])

    view.resume.click()
    until(lambda: len(view.state.curves["train_loss"]) > epochs or view.state.error)
    assert view.state.error == ""
    assert view.state.state == "running"
    open_job(view.state.id).cancel(wait=True, grace_s=1)
    until(lambda: view.state.state == "cancelled")


@pytest.mark.slow
def test_a_known_result_is_shown_and_its_model_selected(
    digits_run: TrainRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = Selection()
    state = StepState("train", selection)
    state.form.load(digits_run.config.model_dump(mode="json"))
    state.run()
    until(lambda: state.result or state.error)
    assert state.error == ""
    assert state.record.run.id == digits_run.run.id
    assert "is a mlp" in state.result
    assert selection.model == digits_run.model_name
    selection.model = "another"
    StepState("train", selection).attach_newest(wait=True)
    assert selection.model == "another", "what was made before is shown, not selected"
    monkeypatch.setenv("AGIWB_BATCH", "1")
    bundle = TrainPanel(selection)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" not in bundle
    assert "<table>" in bundle["text/html"]
    assert 'src="data:image/png' in bundle["text/html"]


@pytest.mark.slow
def test_what_went_wrong_is_shown_whole(workspace: Path, tmp_path: Path) -> None:
    builder = tmp_path / "mine.py"
    builder.write_text("def build(spec, **options):\n    raise KeyError('no such thing')\n")
    state = StepState("train", Selection())
    state.form.change({"architecture": f"{builder}:build"})
    state.run()
    until(lambda: state.job.has_ended)
    view = JobView(state.job)
    assert view.state.state == "failed"
    assert "no such thing" in view.problem.value
    assert "Traceback" in view.problem.value
    assert view.resume.layout.display == ""


@pytest.mark.slow
def test_a_data_set_is_shown_with_its_quality(workspace: Path) -> None:
    panel = DataPanel()
    panel.state.look("digits", wait=True)
    assert panel.state.error == ""
    assert "Image for classification: " in panel.page.value
    assert 'src="data:image/png' in panel.page.value
    assert panel.selection.dataset == "digits"
