"""How a sweep makes its candidates: nothing twice, nothing lost, and each again from its file."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from agiwb import TrainConfig, train
from agiwb.compression.hardware import read_hardware
from agiwb.compression.sweep import SweepConfig, SweepRecord, sweep
from agiwb.errors import CancelledError, WorkError
from agiwb.jobs.job import submit
from agiwb.runs.events import Event
from agiwb.runs.record import Record
from tests.crews.dask_cluster import running_cluster

pytestmark = pytest.mark.slow

QUICK: dict[str, Any] = {
    "fine_tune_epochs": 1,
    "latency_blocks": 5,
    "latency_runs": 5,
    "calibration_samples": 50,
    "sensitivity": False,
}


def run(events: list[Event] | None = None, *, reuse: bool = True, **values: Any) -> SweepRecord:
    heard: list[Event] = [] if events is None else events
    return sweep(SweepConfig(**{**QUICK, **values}), reuse=reuse, listener=heard.append)


def trainings(events: Sequence[Event]) -> Counter[str]:
    """Return how often each stage was trained to its end."""
    ended = (e.phase for e in events if e.phase and e.total and e.done == e.total)
    return Counter(phase for phase in ended if phase.startswith("fine-tune"))


def conversions(events: Sequence[Event]) -> Counter[str]:
    ended = (e.phase for e in events if e.phase and e.total and e.done == e.total)
    return Counter(phase for phase in ended if phase.startswith("convert"))


def at_work() -> set[int]:
    """Return the processes that carry out candidates: forks of the one that is kept for that."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        try:
            parent = process.parent()
            words = process.cmdline()
            if any("nursery_process" in word for word in words) and parent.cmdline() == words:
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


RECIPES = ("prune_80", "prune_80+int8", "prune_80+cluster_16+int8", "int8")


@pytest.fixture(scope="module")
def trained_workspace(
    empty_history: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A workspace of these tests' own: they count what is made anew in it."""
    path = tmp_path_factory.mktemp("swept")
    shutil.copy(empty_history, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGIWB_WORKSPACE", str(path))
        yield path


@pytest.fixture(scope="module")
def digits_run(trained_workspace: Path) -> Record:
    """The record of a small MLP trained on digits."""
    return train(TrainConfig(architecture="mlp", units=32, epochs=6))


@pytest.fixture(scope="module")
def first(digits_run: Record) -> tuple[SweepRecord, list[Event]]:
    """A sweep of recipes that share a stage, made anew, and what was reported meanwhile."""
    events: list[Event] = []
    return run(events, reuse=False, model=digits_run.run.id, recipes=RECIPES), events


def test_a_shared_stage_is_trained_once(first: Any):
    record, events = first
    assert trainings(events) == {"fine-tune prune_80": 1, "fine-tune cluster_16": 1}
    assert all(candidate.usable for candidate in record.candidates)
    assert [c.name for c in record.candidates] == ["baseline", *RECIPES]
    assert {e.phase for e in events} >= {"make candidates", "measure latency"}
    both = record.candidate("prune_80+cluster_16+int8")
    assert list(both.stage_bytes) == ["prune_80", "prune_80+cluster_16"]
    assert both.seconds > record.candidate("prune_80").seconds > 0


def test_what_is_known_is_taken_and_only_the_rest_is_made(first: Any, digits_run: Record):
    record = first[0]
    events: list[Event] = []
    wider = run(events, model=digits_run.run.id, recipes=(*RECIPES, "prune_80+float16"))
    assert trainings(events) == {}
    assert conversions(events) == {"convert prune_80+float16": 1}
    for name in ("baseline", *RECIPES):
        assert _file(wider, name).read_bytes() == _file(record, name).read_bytes()


def test_equal_files_on_equal_hardware_are_timed_once(first: Any, digits_run: Record):
    record = first[0]
    events: list[Event] = []
    again = run(events, model=digits_run.run.id, recipes=RECIPES, max_accuracy_drop=0.5)
    assert any("measured on this hardware before" in event.message for event in events)
    assert "measure latency" not in {event.phase for event in events}
    for name in RECIPES:
        old, new = record.candidate(name).measured, again.candidate(name).measured
        assert old is not None
        assert new is not None
        assert old.latency_ms_p50 == new.latency_ms_p50


def test_a_damaged_candidate_is_made_again(first: Any, digits_run: Record, trained_workspace: Path):
    whole = _file(first[0], "int8").read_bytes()
    (file,) = [
        file
        for file in (trained_workspace / "candidates").glob("*/model.tflite")
        if file.read_bytes() == whole
    ]
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    events: list[Event] = []
    run(events, model=digits_run.run.id, recipes=("int8",))
    assert conversions(events) == {"convert int8": 1}
    assert file.read_bytes() == whole


def test_the_recipe_file_makes_the_same_bytes_again(first: Any, tmp_path: Path):
    name = "prune_80+cluster_16+int8"
    record = first[0]
    path = record.file(record.candidate(name).recipe_file)
    config = SweepConfig.from_yaml(path, {k: QUICK[k] for k in ("latency_blocks", "latency_runs")})
    assert config.recipes == ("baseline", name)
    events: list[Event] = []
    again = sweep(config, reuse=False, listener=events.append)
    assert trainings(events) == {"fine-tune prune_80": 1, "fine-tune cluster_16": 1}
    assert _file(again, name).read_bytes() == _file(record, name).read_bytes()
    text = path.read_text()
    assert f"SHA-256 {record.run.provenance.inputs['model']}" in text
    assert "keras" in text


def test_seeds_show_what_luck_does(digits_run: Record):
    events: list[Event] = []
    record = run(events, model=digits_run.run.id, recipes=("prune_90", "float16"), seeds=2)
    assert trainings(events) == {"fine-tune prune_90": 2}
    found = {c.name: c.measured for c in record.candidates}
    pruned, halved = found["prune_90"], found["float16"]
    assert pruned is not None
    assert halved is not None
    assert len(pruned.seed_test_accuracies) == 2
    assert pruned.seed_test_accuracies[0] == pruned.test_accuracy
    assert len(halved.seed_test_accuracies) == 1


def test_a_process_that_is_killed_is_a_row_and_the_rest_goes_on(digits_run: Record):
    killed = []

    def kill(event: Event) -> None:
        if event.phase == "fine-tune prune_70" and not killed:
            (child,) = at_work()
            os.kill(child, signal.SIGKILL)
            killed.append(child)

    config = SweepConfig(
        model=digits_run.run.id,
        recipes=("prune_70", "prune_70+int8", "dynamic"),
        **{**QUICK, "fine_tune_epochs": 400},
    )
    record = sweep(config, listener=kill)
    assert killed
    reason = "Its process was ended by signal 9 (SIGKILL), perhaps for lack of memory."
    assert record.candidate("prune_70").reason == reason
    assert record.candidate("prune_70+int8").reason == reason
    assert record.candidate("dynamic").usable
    assert not at_work()


def test_a_candidate_that_takes_too_long_is_a_row(first: Any):
    # All but the slow one is known already, so that the time need not suffice for it.
    record = run(
        model=first[0].config.model,
        recipes=("prune_60", "int8"),
        fine_tune_epochs=10_000,
        timeout_s=4,
    )
    assert "not finished after 4 s" in record.candidate("prune_60").reason
    assert record.candidate("int8").usable


def test_cancelling_leaves_no_process(digits_run: Record):
    heard: list[Event] = []
    config = SweepConfig(
        model=digits_run.run.id, recipes=("prune_55",), **{**QUICK, "fine_tune_epochs": 10_000}
    )
    with pytest.raises(CancelledError):
        sweep(
            config,
            listener=heard.append,
            cancelled=lambda: any(event.phase == "fine-tune prune_55" for event in heard),
        )
    assert not at_work()


def test_a_search_draws_recipes_and_goes_on_where_it_was(digits_run: Record):
    values = {
        "model": digits_run.run.id,
        "recipes": (),
        "strategy": "nsga2",
        "techniques": ("prune",),
        "precisions": ("float32", "int8"),
        "trials": 5,
        "workers": 2,
    }
    events: list[Event] = []
    record = run(events, **values)
    names = [candidate.name for candidate in record.candidates]
    assert names[0] == "baseline"
    assert 2 <= len(names) == len(set(names)) <= 6
    events = []
    again = run(events, **values, max_accuracy_drop=0.3)
    assert {c.name for c in again.candidates} == set(names)
    assert trainings(events) == {}


def test_a_sweep_killed_on_the_way_repeats_nothing_that_was_finished(digits_run: Record):
    recipes = ("prune_41", "prune_42")
    values = {**QUICK, "fine_tune_epochs": 60}
    job = submit("sweep", SweepConfig(model=digits_run.run.id, recipes=recipes, **values))
    try:
        until = time.monotonic() + 240
        while not conversions(job.events()[0])["convert prune_41"]:
            assert time.monotonic() < until
            assert not job.has_ended, job.log()
            time.sleep(0.05)
        psutil.Process(job.status.pid).kill()
        assert job.wait(60) == "lost"
        before = trainings(job.events()[0])
        job.resume()
        assert job.wait(240) == "finished", job.log()
    finally:
        if not job.has_ended:
            job.cancel(wait=True)
    counted = trainings(job.events()[0])
    assert before["fine-tune prune_41"] == 1
    assert counted == {f"fine-tune {name}": 1 for name in recipes}


def test_far_workers_make_candidates_from_the_stages_that_are_known(first: Any, tmp_path: Path):
    events: list[Event] = []
    with running_cluster(tmp_path) as cluster:
        cluster.add_worker("one", "--resources", "edge=1")
        record = run(
            events,
            model=first[0].config.model,
            recipes=("prune_80+dynamic", "prune_34"),
            scheduler=cluster.address,
            latency_on="edge",
            threads=len(os.sched_getaffinity(0)),
        )
    assert all(candidate.usable for candidate in record.candidates), record.candidates
    known, new = record.candidate("prune_80+dynamic"), record.candidate("prune_34")
    assert known.stage_bytes == first[0].candidate("prune_80").stage_bytes
    assert new.sparsity == pytest.approx(0.34, abs=0.01)
    assert record.overhead_ratio
    assert record.overhead_ratio > 1
    assert record.hardware == str(read_hardware())
    measured = [candidate.measured for candidate in record.candidates if candidate.measured]
    assert {each.hardware for each in measured} == {read_hardware().fingerprint}
    assert "measure latency" in {event.phase for event in events}


def test_a_baseline_that_fails_ends_the_sweep(digits_run: Record):
    with pytest.raises(WorkError, match="nothing can be compared"):
        run(model=digits_run.run.id, recipes=(), reuse=False, timeout_s=0.05)


def _file(record: SweepRecord, name: str) -> Path:
    return record.file(f"{name}/model.tflite")
