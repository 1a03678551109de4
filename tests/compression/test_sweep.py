"""The sweep step, on real models from end to end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agiwb.artifacts.resolve import resolve_model
from agiwb.compression.measurements import Measurements
from agiwb.compression.sweep import SweepConfig, SweepRecord, sweep
from agiwb.datasets.registry import load_dataset
from agiwb.errors import CancelledError, ConfigError, DatasetError, InputError, NotFoundError
from agiwb.runs.events import Event
from agiwb.runs.record import Record
from agiwb.runs.store import open_store

QUICK = {"fine_tune_epochs": 1, "latency_blocks": 5, "latency_runs": 5, "calibration_samples": 50}


def silent(event: Event) -> None:
    """Show nothing."""


def run(**values: Any) -> SweepRecord:
    return sweep(SweepConfig(**{**QUICK, **values}), listener=silent)


def measured(record: SweepRecord, name: str) -> Measurements:
    found = record.candidate(name).measured
    assert found is not None
    return found


def test_importing_the_step_is_cheap():
    heavy = "{'tensorflow', 'keras', 'pandas', 'matplotlib', 'mlflow', 'ai_edge_litert'}"
    code = f"import sys, agiwb.compression.sweep; print({heavy} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert answer.stdout.strip() == b"set()"


@pytest.fixture(scope="module")
def swept(digits_cnn_run: Record) -> tuple[SweepRecord, list[Event]]:
    """The default recipes on the digits CNN, and what was reported meanwhile."""
    events: list[Event] = []
    config = SweepConfig(model=digits_cnn_run.run.id, **QUICK)
    return sweep(config, reuse=False, listener=events.append), events


@pytest.mark.slow
def test_every_recipe_has_a_measured_candidate(swept: Any, digits_cnn_run: Record):
    record: SweepRecord = swept[0]
    assert [c.name for c in record.candidates] == list(record.config.recipes)
    assert all(c.usable for c in record.candidates)
    assert record.candidate("baseline").sparsity == 0
    baseline = measured(record, "baseline")
    assert baseline.test_accuracy == pytest.approx(digits_cnn_run.metrics["test_accuracy"])
    assert (baseline.worse, baseline.better, baseline.agreement) == (0, 0, 1)
    assert baseline.latency_ratio == 1
    for candidate in record.candidates:
        found = measured(record, candidate.name)
        low, high = found.accuracy_interval
        assert low <= found.test_accuracy <= high
        gained = found.test_accuracy - baseline.test_accuracy
        assert gained == pytest.approx((found.better - found.worse) / record.test_examples)
        assert found.latency_ms_p50 > 0
        assert candidate.verdict.endswith(".")
    assert record.dataset == "digits"
    assert record.model_name == "digits-cnn"
    assert record.test_examples == 360
    assert record.chance_level == pytest.approx(37 / 360)
    assert record.latency_noise_ratio > 0
    assert record.latency_floor >= 1.02


@pytest.mark.slow
def test_sizes_and_sparsities_are_what_the_recipes_promise(swept: Any):
    record: SweepRecord = swept[0]
    found = {name: measured(record, name) for name in record.config.recipes}
    baseline, pruned, both = found["baseline"], found["prune_80"], found["prune_80+int8"]
    assert pruned.size_bytes == baseline.size_bytes
    assert pruned.gzip_bytes < 0.6 * baseline.gzip_bytes
    assert found["int8"].gzip_bytes < 0.8 * baseline.gzip_bytes
    assert both.gzip_bytes == min(candidate.gzip_bytes for candidate in found.values())
    assert record.candidate("prune_80+int8").on_front
    sparsity = {candidate.name: candidate.sparsity for candidate in record.candidates}
    assert sparsity["prune_80"] == pytest.approx(0.8, abs=0.005)  # rounded down
    assert sparsity["prune_80+int8"] == sparsity["prune_80"]
    assert sparsity["int8"] == 0
    for name, candidate in found.items():
        assert candidate.size_bytes == record.file(f"{name}/model.tflite").stat().st_size


@pytest.mark.slow
def test_equal_prunings_are_trained_once_and_each_candidate_is_a_model(swept: Any):
    record, events = swept
    assert sum(e.phase == "fine-tune prune_80" and e.done == e.total for e in events) == 1
    store = open_store()
    found = {
        name: resolve_model(f"{record.run.id}:{name}", store) for name in record.config.recipes
    }
    assert {source.dataset for source in found.values()} == {"digits"}

    import keras

    pruned, both, baseline = (
        keras.models.load_model(found[name].path)
        for name in ("prune_80", "prune_80+int8", "baseline")
    )
    assert not pruned.compiled
    for one, other in zip(pruned.get_weights(), both.get_weights(), strict=True):
        assert np.array_equal(one, other)
    assert all(np.count_nonzero(layer.kernel) for layer in baseline.layers if "conv" in layer.name)


@pytest.mark.slow
def test_the_stored_record_is_the_one_returned(swept: Any, digits_cnn_run: Record):
    record: SweepRecord = swept[0]
    stored = open_store().get(record.run.id)
    assert stored == record
    assert stored.run.provenance.parents["model"] == digits_cnn_run.run.id
    metrics = record.metrics
    assert metrics["prune_80-int8_gzip_bytes"] == measured(record, "prune_80+int8").gzip_bytes
    assert metrics["baseline_test_accuracy"] == measured(record, "baseline").test_accuracy


@pytest.mark.slow
def test_all_phases_report_to_their_end(swept: Any):
    ended = {e.phase for e in swept[1] if e.total and e.done == e.total}
    assert ended == {
        "make candidates",
        "fine-tune prune_80",
        "measure latency",
        *(f"convert {name}" for name in swept[0].config.recipes),
    }


@pytest.mark.slow
def test_if_none_qualifies_the_run_has_a_problem(digits_run: Record):
    record = run(model=digits_run.run.id, recipes=("float16",), max_latency_ratio=0.01)
    assert record.chosen is None
    assert not record.passed
    assert record.problems == (record.choice_reason,)
    assert "The nearest is" in record.choice_reason


@pytest.mark.slow
def test_a_sweep_stops_when_asked(digits_run: Record):
    config = SweepConfig(model=digits_run.run.id, recipes=("prune_50",), **QUICK)
    with pytest.raises(CancelledError):
        sweep(config, reuse=False, listener=silent, cancelled=lambda: True)


@pytest.mark.slow
def test_a_bare_file_needs_its_data_set_named(digits_run: Record, tmp_path: Path):
    file = tmp_path / "mine.keras"
    file.write_bytes(digits_run.file("model.keras").read_bytes())
    with pytest.raises(ConfigError, match="Give it as `dataset`"):
        run(model=str(file))
    record = run(model=str(file), dataset="digits", recipes=("baseline",))
    assert record.model_name == "mine"
    assert record.chosen == "baseline"


@pytest.mark.slow
def test_a_model_and_data_that_do_not_fit_leave_no_run(digits_run: Record, tmp_path: Path):
    before = len(open_store().summaries("sweep"))
    import keras

    other = tmp_path / "other.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(other)
    with pytest.raises(ConfigError, match=r"digits does not fit the model .*other\.keras"):
        run(model=str(other), dataset="digits")
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes(b"not a zip file")
    with pytest.raises(InputError, match="cannot be loaded as a Keras model"):
        run(model=str(damaged), dataset="digits")
    assert len(open_store().summaries("sweep")) == before


@pytest.mark.slow
def test_a_model_may_leave_its_sizes_free(trained_workspace: Path, tmp_path: Path):
    import keras

    keras.utils.set_random_seed(0)
    pixels = keras.Input((None, None))
    answers = keras.layers.Dense(10, "softmax")(keras.layers.Reshape((64,))(pixels))
    free = keras.Model(pixels, answers)
    data = load_dataset("digits").train
    free.compile("adam", "sparse_categorical_crossentropy")
    free.fit(data.features, data.labels, epochs=3, verbose=0)
    free.save(tmp_path / "free.keras")
    record = run(model=str(tmp_path / "free.keras"), dataset="digits", recipes=("float16",))
    assert all(c.usable for c in record.candidates)


@pytest.mark.slow
def test_tokens_reach_a_file_as_the_whole_numbers_that_it_takes(
    trained_workspace: Path, tmp_path: Path
):
    import keras

    digits = load_dataset("digits").train
    tokens = digits.features[:600].reshape(-1, 64).round()
    np.savez(tmp_path / "tokens.npz", x=tokens, y=digits.labels[:600])
    keras.utils.set_random_seed(0)
    taken = keras.Input((64,), dtype="int64")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(17, 4)(taken))
    model = keras.Model(taken, keras.layers.Dense(10, "softmax")(embedded))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(tokens, digits.labels[:600], epochs=5, verbose=0)
    model.save(tmp_path / "tokens.keras")
    record = run(
        model=str(tmp_path / "tokens.keras"),
        dataset=str(tmp_path / "tokens.npz"),
        recipes=("int8", "onnx"),
    )
    assert [c.reason for c in record.candidates] == ["", "", ""]


def test_texts_are_refused_before_there_is_a_run(workspace: Path, tmp_path: Path):
    for label in ("kind", "unkind"):
        (tmp_path / "texts" / label).mkdir(parents=True)
        for number in range(20):
            (tmp_path / "texts" / label / f"{number}.txt").write_text(f"{label} words {number}")
    (tmp_path / "model.keras").touch()
    with pytest.raises(DatasetError, match="A sweep takes examples that are arrays of numbers"):
        run(model=str(tmp_path / "model.keras"), dataset=str(tmp_path / "texts"))
    assert open_store().summaries() == []


def test_there_must_be_a_model(workspace: Path):
    with pytest.raises(NotFoundError, match="No model has been trained yet"):
        run()
