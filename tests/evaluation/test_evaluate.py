"""The evaluate step on a real model: its figures, its verdict, its files, and its refusals."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from agiwb.artifacts.manifest import read_artifact, write_artifact
from agiwb.datasets.registry import load_dataset
from agiwb.errors import ConfigError, NotFoundError, WorkError
from agiwb.evaluation.evaluate import EvaluateConfig, evaluate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def converted(digits_run):
    from agiwb.conversion.convert import ConvertConfig, convert

    return convert(ConvertConfig(model=digits_run.run.id, formats=("onnx",)))


@pytest.fixture(scope="module")
def record(converted):
    return evaluate(EvaluateConfig(model=converted.run.id, min_accuracy=0.5, min_slice_accuracy=0))


def answers(folder, features):
    from agiwb.runtimes.runtime import open_runtime

    (answer,) = open_runtime(folder).run({"features": features}).values()
    return answer


def test_the_figures_are_those_of_the_model(record, converted):
    data = load_dataset("digits")
    predicted = answers(converted.file("onnx"), data.test.features).argmax(axis=1)
    right = predicted == data.test.labels
    assert record.metrics["test_accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    assert np.sum(record.confusion) == record.examples == len(data.test)
    assert np.trace(record.confusion) == right.sum()
    by_name = {(entry.column, entry.value): entry for entry in record.slices}
    assert set(by_name) == {
        *(("stroke_weight", weight) for weight in ("light", "medium", "heavy")),
        *(("label", name) for name in data.classes),
    }
    heavy = data.test.slices["stroke_weight"] == "heavy"
    entry = by_name["stroke_weight", "heavy"]
    assert entry.accuracy == pytest.approx(right[heavy].mean(), abs=1e-6)
    assert entry.accuracy_interval.low < entry.accuracy <= entry.accuracy_interval.high
    assert record.blessed
    assert record.problems == ()


def test_the_record_and_its_files_can_be_read_again(record, converted):
    from agiwb.runs.store import open_store

    stored = open_store().get(record.run.id)
    assert stored == record
    rows = pq.read_table(record.file("slices.parquet")).to_pylist()
    assert [row["value"] for row in rows] == [entry.value for entry in record.slices]
    assert rows[0]["accuracy_low"] == record.slices[0].accuracy_interval.low
    assert record.file("tfma/eval_config.json").is_file()
    assert record.run.provenance.parents["artifact"] == converted.run.id


def test_a_failed_threshold_is_named_with_its_figures(converted, record):
    worst = min(record.slices, key=lambda entry: entry.accuracy)
    strict = evaluate(
        EvaluateConfig(
            model=converted.run.id,
            slices=(worst.column,),
            min_accuracy=1.0,
            min_slice_accuracy=worst.accuracy + 0.001,
        )
    )
    assert not strict.blessed
    assert strict.problems[0].startswith("On all examples the accuracy is 0.")
    assert any(
        f"the slice {worst.column} = {worst.value} the accuracy is {worst.accuracy:.4f}" in problem
        for problem in strict.problems
    )
    verdicts = {entry.value: entry.verdict for entry in strict.slices}
    assert verdicts[worst.value] == "failed"


def test_large_slices_are_judged_and_small_ones_only_shown(converted):
    data = load_dataset("digits")
    labels = data.test.labels
    right = answers(converted.file("onnx"), data.test.features).argmax(axis=1) == labels
    sizes = np.bincount(labels)
    accuracies = np.bincount(labels, right) / sizes
    large = sizes > sizes.min()
    limit = float(np.median(accuracies[large]))
    expected = {
        name: ("passed" if accuracy >= limit else "failed") if judged else "too small"
        for name, accuracy, judged in zip(data.classes, accuracies, large, strict=True)
    }
    assert set(expected.values()) == {"passed", "failed", "too small"}
    mixed = evaluate(
        EvaluateConfig(
            model=converted.run.id,
            slices=("label",),
            min_accuracy=0,
            min_slice_accuracy=limit,
            min_slice_size=int(sizes.min()) + 1,
        )
    )
    assert {entry.value: entry.verdict for entry in mixed.slices} == expected
    assert [p.split(" = ")[1].split()[0] for p in mixed.problems] == [
        name for name, verdict in expected.items() if verdict == "failed"
    ]


def test_an_unknown_slice_column_is_refused_before_a_run_exists(converted):
    config = EvaluateConfig(model=converted.run.id, slices=("stroke_wait",))
    with pytest.raises(ConfigError, match="Did you mean `stroke_weight`"):
        evaluate(config)


def test_a_missing_format_says_how_to_make_it(converted):
    with pytest.raises(NotFoundError, match=r"agiwb convert --model .* --formats litert"):
        evaluate(EvaluateConfig(model=converted.run.id, format="litert"))


def test_an_artifact_of_unknown_data_asks_for_the_data_set(converted, tmp_path):
    folder = shutil.copytree(converted.file("onnx"), tmp_path / "onnx")
    write_artifact(folder, read_artifact(folder).model_copy(update={"dataset": None}))
    with pytest.raises(ConfigError, match="Give it as `dataset`"):
        evaluate(EvaluateConfig(model=str(folder)))


def test_a_data_set_of_other_classes_is_refused(converted, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    path = tmp_path / "other.npz"
    np.savez(path, x=rng.random((60, 8, 8), dtype=np.float32), y=labels)
    with pytest.raises(ConfigError, match="has 3 classes"):
        evaluate(EvaluateConfig(model=converted.run.id, dataset=str(path)))


def test_answers_that_are_not_numbers_fail_the_run(converted, monkeypatch):
    class Broken:
        def __init__(self, folder):
            self.signature = read_artifact(folder).signature

        def run(self, inputs):
            (features,) = inputs.values()
            return {"probabilities": np.full((len(features), 10), np.nan, np.float32)}

    monkeypatch.setattr("agiwb.evaluation.answers.open_runtime", Broken)
    with pytest.raises(WorkError, match="NaN or infinity for 360 of 360"):
        evaluate(EvaluateConfig(model=converted.run.id), reuse=False)


def test_importing_the_step_loads_nothing_heavy():
    heavy = ("tensorflow", "tensorflow_model_analysis", "apache_beam", "pandas", "sklearn", "scipy")
    code = (
        "import sys, agiwb.evaluation.evaluate;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
