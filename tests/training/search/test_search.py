"""Searches with real trainings: complete, interrupted, pruned, failing, in parallel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agiwb import SearchConfig, SearchRecord, search
from agiwb.artifacts.resolve import resolve_model
from agiwb.cli import main
from agiwb.errors import CancelledError, ConfigError, WorkError
from agiwb.runs.events import Event
from agiwb.runs.store import open_store
from tests.training.search.counting import built, write_counting

pytestmark = pytest.mark.slow

TINY: dict[str, Any] = {"architecture": "mlp", "layers": 1, "epochs": 1, "batch_size": 512}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, empty_history: Path) -> Iterator[SearchRecord]:
    """A grid over two sizes and two momenta, of which Adam takes one."""
    with pytest.MonkeyPatch.context() as patch:
        workspace = tmp_path_factory.mktemp("search")
        (workspace / "mlflow.db").write_bytes(empty_history.read_bytes())
        patch.setenv("AGIWB_WORKSPACE", str(workspace))
        yield search(
            SearchConfig(
                **{**TINY, "epochs": 2},
                space=["units=8,16", "momentum=0,0.5"],
                sampler="grid",
                folds=2,
                early_stopping=1,
                schedule="plateau",
            )
        )


@pytest.fixture
def counting(tmp_path: Path) -> Path:
    """A builder that notes each model it builds; with 13 units it dies."""
    return write_counting(tmp_path, "if spec.size.units == 13: os.kill(os.getpid(), 9)")


class StopAfter:
    """A listener that asks for an end once it has heard of the end of a trial."""

    def __init__(self, words: str) -> None:
        self.words = words
        self.heard = False
        self.messages: list[str] = []

    def __call__(self, event: Event) -> None:
        self.messages.append(event.message)
        self.heard |= event.message.startswith(self.words)

    def cancelled(self) -> bool:
        return self.heard


def test_a_grid_is_complete_and_each_point_is_there_once(found: SearchRecord) -> None:
    points = {(trial.params["units"], trial.params["momentum"]) for trial in found.trials}
    assert points == {(8, 0.0), (8, 0.5), (16, 0.0), (16, 0.5)}
    assert len(found.trials) == 4
    assert found.config.total_trials == 4


def test_a_trial_that_fails_is_a_row_with_its_reason(found: SearchRecord) -> None:
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert {trial.params["momentum"] for trial in failed} == {0.5}
    assert all("momentum is for sgd" in trial.reason for trial in failed)
    assert all(trial.value is None for trial in failed)


def test_a_trials_value_is_the_mean_over_its_folds(found: SearchRecord) -> None:
    complete = [trial for trial in found.trials if trial.state == "complete"]
    assert len(complete) == 2
    for trial in complete:
        assert len(trial.values) == len(trial.epochs) == 2
        assert trial.value == pytest.approx(np.mean(trial.values))
        assert trial.standard_error == pytest.approx(abs(np.diff(trial.values)[0]) / 2)
    assert found.best.value == max(trial.value or 0 for trial in complete)
    assert found.metrics["validation_accuracy"] == found.best.value
    assert found.value_of == "the epoch of the lowest validation loss"


def test_the_best_is_fitted_on_all_that_is_not_for_the_test(found: SearchRecord) -> None:
    import keras

    from agiwb import load_dataset

    data = load_dataset("digits")
    sizes = {name: len(split) for name, split in data.splits.items()}
    assert found.examples == {
        "train": sizes["train"] + sizes["validation"],
        "validation": 0,
        "test": sizes["test"],
    }
    assert found.fitted_epochs == len(found.curves) == min(found.best.epochs)
    assert found.fitted.units == found.best.params["units"]
    model = keras.models.load_model(found.file("model.keras"))
    right = (model.predict(data.test.features, verbose=0).argmax(axis=1) == data.test.labels).mean()
    assert found.metrics["test_accuracy"] == pytest.approx(right, abs=1e-6)
    assert found.test_interval.low < right < found.test_interval.high


def test_its_model_is_registered_as_a_trained_one(found: SearchRecord) -> None:
    store = open_store()
    assert found.model_name == "digits-mlp"
    for reference in ("digits-mlp", "latest", found.run.id[:8]):
        source = resolve_model(reference, store)
        assert (source.run_id, source.dataset) == (found.run.id, "digits")


def test_two_completed_trials_are_too_few_to_say_what_mattered(found: SearchRecord) -> None:
    assert found.importance == {}
    assert "2 completed trials are too few" in found.importance_note


def test_a_killed_search_goes_on_and_repeats_nothing(workspace: Path, counting: Path) -> None:
    words = [
        "search", "--architecture", f"{counting}:build", "--epochs", "1", "--batch-size", "512",
        "--space", "units=4,5", "--sampler", "grid",
    ]  # fmt: skip
    killed = subprocess.Popen([sys.executable, "-m", "agiwb", *words], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while len(built(counting)) < 2 and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    first, second = built(counting)
    assert main(words) == 0
    record = open_store().get(open_store().summaries("search")[0].id)
    assert isinstance(record, SearchRecord)
    assert [trial.state for trial in record.trials] == ["complete"] * 2
    (interrupted,) = record.interrupted
    assert str(interrupted.params["units"]) == second
    assert "tried again" in interrupted.reason
    *trials, refitted = built(counting)
    assert trials == [first, second, second]
    assert refitted == str(record.best.params["units"])


def test_an_interrupted_search_finds_what_an_uninterrupted_one_does(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    config = SearchConfig(**TINY, trials=2, space=["units=8..64", "learning_rate=1e-4..1e-1:log"])
    stop = StopAfter("trial 0 ")
    with pytest.raises(CancelledError):
        search(config, listener=stop, cancelled=stop.cancelled)
    resumed = search(config, listener=(heard := StopAfter("never")))
    assert "1 trials of study" in " ".join(heard.messages)
    assert not any(message.startswith("trial 0 ") for message in heard.messages)
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "other"))
    whole = search(config)
    assert [(t.params, t.values) for t in resumed.trials] == [
        (t.params, t.values) for t in whole.trials
    ]
    models = [keras.models.load_model(run.file("model.keras")) for run in (resumed, whole)]
    pairs = zip(*(model.get_weights() for model in models), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_more_trials_go_on_from_those_there_are_and_fresh_ones_do_not(
    workspace: Path, counting: Path
) -> None:
    fields: dict[str, Any] = {
        "architecture": f"{counting}:build",
        "epochs": 1,
        "batch_size": 512,
        "space": ["units=5"],
        "sampler": "random",
    }
    one = search(SearchConfig(**fields, trials=1))
    assert len(built(counting)) == 2  # the trial and the final fit
    two = search(SearchConfig(**fields, trials=2))
    assert len(built(counting)) == 3
    assert two.trials[0] == one.trials[0]
    assert two.trials[1].values == one.trials[0].values
    assert two.trials[1].reason == "Its settings are those of trial 0: the result is too."
    search(SearchConfig(**fields, trials=2), reuse=False)
    assert len(built(counting)) == 5


def test_workers_carry_out_all_trials_even_if_one_of_them_dies(
    workspace: Path, counting: Path
) -> None:
    record = search(
        SearchConfig(
            architecture=f"{counting}:build",
            epochs=1,
            batch_size=512,
            space=["units=4,13,6"],
            sampler="grid",
            workers=2,
        )
    )
    states = {trial.params["units"]: trial.state for trial in record.trials}
    assert states == {4: "complete", 13: "failed", 6: "complete"}
    (dead,) = (trial for trial in record.trials if trial.state == "failed")
    assert "signal 9 (SIGKILL), perhaps for lack of memory. Try a smaller" in dead.reason
    assert sorted(built(counting)[:-1]) == ["13", "4", "6"]


def test_what_no_trial_can_do_is_the_users_to_mend(workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no 'acuracy'.*Did you mean `accuracy`"):
        search(SearchConfig(**TINY, space=["units=8,16"], metric="acuracy"))
    x, y = np.random.default_rng(0).random((60, 5)), np.arange(60) % 3
    np.savez(tmp_path / "vectors.npz", x=x, y=y)
    vectors = str(tmp_path / "vectors.npz")
    with pytest.raises(ConfigError, match=r"No trial's settings fit.*cnn needs images"):
        search(
            SearchConfig(
                dataset=vectors, architecture="cnn", epochs=1, space=["units=8,16"], trials=2
            )
        )
    assert open_store().summaries() == []


def test_a_search_without_a_single_success_says_why(workspace: Path) -> None:
    fields = {**TINY, "optimizer": "sgd", "l2": 1.0, "epochs": 3, "batch_size": 32}
    with pytest.raises(WorkError, match=r"None of 1 trials.*The loss became NaN or infinite"):
        search(SearchConfig(**fields, space=["learning_rate=10"], sampler="grid"))


def test_another_process_that_carries_the_search_is_left_alone(workspace: Path) -> None:
    from agiwb.training.search.study import Study

    config = SearchConfig(**TINY, space=["units=8,16"])
    study = Study(config, "shared", workspace, maximise=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        study.beat()
        carrier = study._study.user_attrs["carrier"]
        import psutil

        started_at = psutil.Process(other.pid).create_time()
        carrier.update(pid=other.pid, process_started_at=started_at)
        study._study.set_user_attr("carrier", carrier)
        with (
            pytest.raises(WorkError, match=f"Process {other.pid} on .* this very search"),
            study.carried(anew=False),
        ):
            pass
        other.communicate(b"\n")
    assert os.getpid() != other.pid
    with Study(config, "shared", workspace, maximise=True).carried(anew=False):
        pass
