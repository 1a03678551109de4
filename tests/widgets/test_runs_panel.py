"""The Runs panel: what is chosen, typed and compared stays while other runs come and go."""

from __future__ import annotations

import pytest

from agiwb import TrainRecord
from agiwb.history.tidying import note
from widgets.guard import STRICT
from widgets.runs import RunsPanel
from widgets.wording import brief

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STRICT, "1")


def test_a_note_is_of_the_run_that_is_chosen(
    digits_run: TrainRecord, digits_cnn_run: TrainRecord
) -> None:
    note(digits_run.run.id, "the small one")
    runs = RunsPanel()
    runs.list.value = digits_run.run.id
    assert runs.note.value == "the small one"
    runs.controls["Pin"].click()
    assert runs.controls["Pin"].description == "Unpin"
    assert runs.list.options[0][1] == digits_run.run.id
    runs.controls["Pin"].click()
    assert runs.controls["Pin"].description == "Pin"
    runs.note.value = "half a sen"
    runs.state.refresh()
    assert runs.note.value == "half a sen"
    runs.list.value = digits_cnn_run.run.id
    assert runs.note.value == ""
    note(digits_run.run.id, "")


def test_a_comparison_stays_when_the_list_changes(
    digits_run: TrainRecord, digits_cnn_run: TrainRecord
) -> None:
    runs = RunsPanel()
    assert runs.controls["Delete"].disabled
    runs.list.value = digits_run.run.id
    assert not runs.controls["Delete"].disabled
    runs.other.value = digits_cnn_run.run.id
    runs.state.comparison = "<p>compared</p>"
    runs.state.entries = runs.state.entries[::-1]  # as when a run has begun meanwhile
    assert runs.list.value == digits_run.run.id
    assert runs.other.value == digits_cnn_run.run.id
    assert runs.comparison.value == "<p>compared</p>"


def test_a_run_is_compared_with_one_that_the_filters_hide(
    digits_run: TrainRecord, digits_cnn_run: TrainRecord
) -> None:
    runs = RunsPanel()
    runs.text.value = "mlp"
    runs.list.value = digits_run.run.id
    assert digits_cnn_run.run.id not in [one for _, one in runs.list.options]
    assert digits_cnn_run.run.id in [one for _, one in runs.other.options]


def test_ids_and_paths_are_shown_in_brief() -> None:
    run = "307fc6c88d704df6b53e3bb72699a931"
    assert brief(f"/home/me/workspace/artifacts/convert/{run}/artifacts/onnx") == "307fc6c8/onnx"
    assert brief(f"{run} onnx") == "307fc6c8 onnx"
    assert brief("/home/me/flowers.csv") == "flowers.csv"
    assert brief("digits-cnn") == "digits-cnn"
