"""The trail of a model has what led to it and what came of it, and shows a file that changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agiwb import ConvertConfig, TrainRecord, convert
from agiwb.history.entries import read_history
from agiwb.history.records import find_record
from agiwb.history.trail import model_names, models_made, trail_of

pytestmark = pytest.mark.slow


def test_a_changed_file_is_found(
    digits_run: TrainRecord,
    trained_workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = convert(ConvertConfig(model=digits_run.run.id, formats=("keras",)))
    copy = tmp_path / "copy"
    for name in ("artifacts", "jobs"):
        shutil.copytree(trained_workspace / name, copy / name, symlinks=True)
    monkeypatch.setenv("AGIWB_WORKSPACE", str(copy))
    history = read_history()
    assert digits_run.model_name in model_names(history)
    trail = {one.entry.id: one for one in trail_of(digits_run.model_name, history)}
    assert trail[digits_run.run.id].damaged == ()
    assert trail[made.run.id].entry.parents["model"] == digits_run.run.id
    assert trail_of("nothing", history) == []
    assert digits_run.run.id in models_made("keras", history)
    assert models_made("nothing", history) == []

    copied = find_record(made.run.id, history).run
    assert copied.folder.is_relative_to(copy)
    (copied.folder / copied.files[0].path).write_text("other")
    trail = {one.entry.id: one for one in trail_of(digits_run.model_name, history)}
    assert trail[made.run.id].damaged == (copied.files[0].path,)
    assert trail[digits_run.run.id].damaged == ()
