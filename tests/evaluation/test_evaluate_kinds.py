"""The evaluate step on numbers and tables, against a baseline, and by a config of TFMA's."""

from __future__ import annotations

import re

import numpy as np
import pyarrow.parquet as pq
import pytest

from agiwb.conversion.convert import ConvertConfig, convert
from agiwb.datasets.registry import load_dataset
from agiwb.errors import ConfigError
from agiwb.evaluation.evaluate import EvaluateConfig, evaluate
from agiwb.reporting.evaluation import plot_slices, slice_table
from agiwb.training.train import TrainConfig, train

pytestmark = pytest.mark.slow


def trained(**fields):
    """Return the id of the conversion of a small model."""
    run = train(TrainConfig(**{"epochs": 2, "units": 8, **fields}))
    return convert(ConvertConfig(model=run.run.id, formats=("onnx",))).run.id


def asked(record, split):
    """Return what the evaluated model answers for a split."""
    from agiwb.artifacts.resolve import resolve_artifact
    from agiwb.conversion.parity.questions import by_input
    from agiwb.runs.store import open_store
    from agiwb.runtimes.asking import answer_batches
    from agiwb.runtimes.runtime import open_runtime

    config = record.config
    runtime = open_runtime(resolve_artifact(config.model, config.format, open_store()).folder)
    questions = by_input(split.features, runtime.signature, record.dataset)
    (answers,) = answer_batches(runtime, questions).values()
    return answers


@pytest.fixture(scope="module")
def digits(digits_run):
    return convert(ConvertConfig(model=digits_run.run.id, formats=("onnx",))).run.id


@pytest.fixture(scope="module")
def by_fast(digits):
    return evaluate(EvaluateConfig(model=digits, min_accuracy=0.5, min_slice_accuracy=0))


def rows_of(record, **wanted):
    rows = pq.read_table(record.file("metrics.parquet")).to_pylist()
    return [row for row in rows if wanted.items() <= row.items()]


def test_numbers(trained_workspace):
    record = evaluate(EvaluateConfig(model=trained(dataset="diabetes"), max_mae=1.0))
    test = load_dataset("diabetes").test
    errors = asked(record, test)[:, 0].astype(float) - test.labels
    assert record.metrics == pytest.approx(
        {
            "test_mae": np.abs(errors).mean(),
            "test_rmse": np.sqrt((errors**2).mean()),
            "test_bias": errors.mean(),
        },
        rel=1e-5,
    )
    assert {(e.column, e.value) for e in record.errors} == {
        (column, value) for column, values in test.slices.items() for value in np.unique(values)
    }
    part = record.errors[0]
    chosen = test.slices[part.column] == part.value
    assert (part.examples, part.mae) == pytest.approx((chosen.sum(), np.abs(errors[chosen]).mean()))
    assert not record.blessed
    assert record.problems[0].endswith("above the limit of 1.")
    assert "Mean absolute error by slice" in plot_slices(record).alt
    assert len(slice_table(record).rows) == len(record.errors)


def test_a_table_of_classes(trained_workspace):
    learns = {"epochs": 30, "learning_rate": 0.02}  # what is at chance is not converted
    record = evaluate(EvaluateConfig(model=trained(dataset="wine", **learns), min_slice_accuracy=0))
    test = load_dataset("wine").test
    right = asked(record, test).argmax(axis=1) == test.labels
    assert record.metrics["test_accuracy"] == pytest.approx(right.mean())


def test_a_baseline_is_compared_with(digits, by_fast):
    other = trained(architecture="mlp")
    record = evaluate(
        EvaluateConfig(model=digits, baseline=other, min_accuracy=0.5, min_slice_accuracy=0)
    )
    assert record.metrics == pytest.approx(by_fast.metrics)  # the baseline changes no figure
    alone = evaluate(EvaluateConfig(model=other, min_accuracy=0, min_slice_accuracy=0))
    wanted = {"metric": "sparse_categorical_accuracy", "slice": "all examples"}
    (gain,) = rows_of(record, **wanted, is_diff=True)
    expected = record.metrics["test_accuracy"] - alone.metrics["test_accuracy"]
    assert gain["value"] == pytest.approx(expected, abs=1e-6)
    assert expected > 0.1
    assert record.run.provenance.parents["baseline"] == other


CONFIG = """
  model_specs { label_key: "digit" prediction_key: "probabilities" }
  slicing_specs {} slicing_specs { feature_keys: "stroke_weight" }
  metrics_specs { binarize { class_ids { values: [3] } }
    metrics { class_name: "AUC" threshold { value_threshold { lower_bound { value: 1.5 } } } } }
"""


def test_a_config_of_tfmas_decides_the_verdict_and_the_files(digits, by_fast, tmp_path):
    path = tmp_path / "wanted.pbtxt"
    path.write_text(CONFIG, "utf-8")
    record = evaluate(EvaluateConfig(model=digits, eval_config=path))
    assert record.metrics == pytest.approx(by_fast.metrics)
    found = rows_of(record)
    assert {row["metric"] for row in found} == {"auc"}
    assert {row["class_id"] for row in found} == {3}
    assert len(found) == 4  # the whole and three stroke weights
    (overall,) = rows_of(record, slice="all examples")
    test = load_dataset("digits").test
    scores = asked(record, test)[:, 3]
    three = test.labels == 3
    below = (scores[three][:, None] > scores[~three]).mean()
    assert overall["value"] == pytest.approx(below, abs=1e-3)
    assert not record.blessed
    assert "On all examples auc fails" in "\n".join(record.problems)
    assert len(record.problems) == 4

    path.write_text(re.sub(r" threshold .*", " } }", CONFIG), "utf-8")  # fairness alone decides
    fair = evaluate(EvaluateConfig(model=digits, eval_config=path, max_odds_difference=1))
    assert (fair.blessed, fair.problems) == (True, ())
    unfair = fair.config.model_copy(update={"max_odds_difference": 0.0})
    record = evaluate(unfair)
    assert not record.blessed
    assert "by odds that differ by" in record.problems[0]


def test_a_config_with_a_baseline_and_no_model_for_it_is_refused(digits, tmp_path):
    path = tmp_path / "wanted.pbtxt"
    spec = 'name: "%s" label_key: "digit" prediction_key: "p" is_baseline: %s'
    specs = "".join(
        f"model_specs {{ {spec % pair} }}" for pair in (("now", "false"), ("before", "true"))
    )
    path.write_text(CONFIG.replace(CONFIG.splitlines()[1], specs), "utf-8")
    with pytest.raises(ConfigError, match="Name one as `baseline`"):
        evaluate(EvaluateConfig(model=digits, eval_config=path))


def test_tfma_on_beam_finds_the_same(digits, by_fast):
    fields = {"min_accuracy": 0.5, "min_slice_accuracy": 0, "engine": "tfma"}
    record = evaluate(EvaluateConfig(model=digits, **fields))
    assert record.metrics == pytest.approx(by_fast.metrics, abs=1e-6)
    assert record.confusion == by_fast.confusion
    assert record.blessed == by_fast.blessed
    for ours, tfmas in zip(by_fast.slices, record.slices, strict=True):
        assert ours.model_dump(exclude={"loss"}) == tfmas.model_dump(exclude={"loss"})
        assert ours.loss == pytest.approx(tfmas.loss, abs=1e-6)
    assert len(rows_of(record)) == len(rows_of(by_fast))
