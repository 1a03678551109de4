"""Runs that travel between workspaces: whole, with what they were made from, or not at all."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest

from agiwb.errors import NotFoundError, WorkError
from agiwb.runs import registry
from agiwb.runs.registry import StepEntry
from agiwb.runs.run_parcel import RunParcel, pack_runs
from agiwb.runs.store import open_store
from tests.runs.test_execute import CountConfig, CountRecord, count, quiet


@pytest.fixture
def packed(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[CountRecord, RunParcel]:
    """A run and its parcel; from now on another workspace is this process's."""
    monkeypatch.setitem(registry.STEPS, "count", StepEntry("tests.runs.test_execute:count", ""))
    made = count(CountConfig(), listener=quiet)
    (parcel,) = pack_runs(open_store(), [made.run.id, made.run.id, "0" * 32])
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "there"))
    return made, pickle.loads(pickle.dumps(parcel))  # noqa: S301  ours


def test_a_run_arrives_with_all_its_files_and_may_be_known(
    packed: tuple[CountRecord, RunParcel], tmp_path: Path
):
    made, parcel = packed
    for _ in range(2):
        parcel.unpack(tmp_path / "there")
    store = open_store()
    arrived = store.get(made.run.id)
    assert arrived.file("2.txt").read_text() == "2"
    assert arrived.run.folder.is_relative_to(tmp_path / "there")
    assert store.known("a" * 64) is None
    store.know("a" * 64, made.run.id)
    assert store.known("a" * 64) == arrived


def test_of_a_run_that_was_damaged_on_its_way_nothing_is_kept(
    packed: tuple[CountRecord, RunParcel], tmp_path: Path
):
    made, parcel = packed
    damaged = dataclasses.replace(parcel, files={**parcel.files, "2.txt": b"3"})
    with pytest.raises(WorkError, match=r"damaged on their way from a worker: 2\.txt"):
        damaged.unpack(tmp_path / "there")
    with pytest.raises(NotFoundError):
        open_store().get(made.run.id)
    assert not list((tmp_path / "there").rglob("*.txt"))
