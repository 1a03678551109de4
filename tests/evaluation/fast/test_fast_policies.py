"""Rows without a number, small slices, intervals, and the tables beside TFMA's files."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from agiwb.errors import ConfigError, WorkError

pytestmark = pytest.mark.slow

CONFIG = """
  model_specs { label_key: "label" prediction_key: "prediction" }
  slicing_specs {} slicing_specs { feature_keys: "site" }
  metrics_specs { metrics { class_name: "BinaryAccuracy" } metrics { class_name: "ExampleCount" }
    metrics { class_name: "ConfusionMatrixPlot" config: '"num_thresholds": 4' } }
"""


@pytest.fixture(scope="module")
def evaluated():
    from google.protobuf import text_format

    from agiwb.evaluation.tfma_engine import import_tfma

    import_tfma()
    from tensorflow_model_analysis.proto import config_pb2

    from agiwb.evaluation.fast.engine import evaluate_columns

    def run(columns, options="", config=CONFIG):
        batches = columns if isinstance(columns, list) else [columns]
        return evaluate_columns(
            batches, text_format.Parse(config + options, config_pb2.EvalConfig())
        )

    return run


def make_columns():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 400)
    scores = np.clip(rng.normal(0.3 + 0.4 * labels, 0.25), 0, 1).astype(np.float32)
    site = np.where(np.arange(400) < 5, "tiny", "large")
    return {"label": labels, "prediction": scores, "site": site}


def values(found, slice_key):
    return {getattr(key, "name", key): value for key, value in found.metrics[slice_key].items()}


def test_rows_without_a_number_are_left_out_and_counted(evaluated):
    columns = make_columns()
    columns["prediction"][[7, 8]] = np.nan, np.inf
    found = evaluated(columns)
    good = np.isfinite(columns["prediction"])
    assert found.excluded == {"predictions": 2, "rows": 2}
    assert values(found, ())["example_count"] == found.rows == 398
    right = (columns["prediction"] > 0.5) == columns["label"]
    assert values(found, ())["binary_accuracy"] == pytest.approx(right[good].mean(), abs=1e-6)


def test_nothing_but_nan_is_an_error(evaluated):
    columns = make_columns()
    columns["prediction"][:] = np.nan
    with pytest.raises(WorkError, match="400 were left out"):
        evaluated(columns)


def test_a_small_slice_gets_no_figures(evaluated):
    found = evaluated(make_columns(), "options { min_slice_size { value: 6 } }")
    assert list(values(found, (("site", "tiny"),))) == ["__ERROR__"]
    assert values(found, (("site", "large"),))["example_count"] == 395


def test_a_column_that_is_not_there_is_named(evaluated):
    with pytest.raises(ConfigError, match="Did you mean `site`"):
        evaluated(make_columns(), 'slicing_specs { feature_keys: "sites" }')


def test_slices_by_sql_are_refused_rather_than_taken_for_the_whole(evaluated):
    with pytest.raises(ConfigError, match="engine: tfma"):
        evaluated(make_columns(), "slicing_specs { slice_keys_sql: 'SELECT STRUCT(site)' }")


def test_intervals_are_those_of_a_proportion_and_in_the_table(evaluated, tmp_path):
    from agiwb.evaluation.fast.result_files import write_tfma_files
    from agiwb.evaluation.fast.tables import write_tables

    found = evaluated(make_columns(), "options { compute_confidence_intervals { value: true } }")
    write_tfma_files(found, tmp_path / "tfma")
    write_tables(tmp_path / "tfma", tmp_path)
    rows = pq.read_table(tmp_path / "metrics.parquet").to_pylist()
    (row,) = (r for r in rows if r["slice"] == "all examples" and r["metric"] == "binary_accuracy")
    error = np.sqrt(row["value"] * (1 - row["value"]) / 400)
    # A standard error from 20 samples is itself within about a third, nearly always half.
    assert 0.5 < (row["high"] - row["low"]) / (2 * 2.09 * error) < 1.5
    assert row["low"] < row["value"] < row["high"]
    plots = pq.read_table(tmp_path / "plots.parquet").to_pylist()
    assert {p["slice"] for p in plots} == {"all examples", "site = tiny", "site = large"}
    counts = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    assert {sum(p[name] for name in counts) for p in plots if p["slice"] == "all examples"} == {400}


TOP_K = """
  model_specs { label_key: "label" prediction_key: "prediction" example_weight_key: "weight" }
  slicing_specs {} slicing_specs { feature_keys: "site" }
  metrics_specs { binarize { top_k_list { values: [2] } } metrics { class_name: "Recall" } }
"""


def test_a_slice_of_no_weight_has_no_recall_and_spoils_no_other(evaluated):
    columns = {
        "label": np.array([0, 1, 2]),
        "prediction": np.array([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.1, 0.2, 0.7]], np.float32),
        "weight": np.array([1, 3, 0], np.float32),
        "site": np.array(["a", "a", "none"]),
    }
    found = evaluated(columns, config=TOP_K)
    assert values(found, (("site", "a"),))["recall"] == values(found, ())["recall"] == 0.25
    assert np.isnan(values(found, (("site", "none"),))["recall"])


MANY_KINDS = """
  model_specs { label_key: "label" prediction_key: "prediction" }
  slicing_specs {} slicing_specs { feature_keys: "site" }
  metrics_specs { metrics { class_name: "BinaryAccuracy" } metrics { class_name: "ExampleCount" }
    metrics { class_name: "AUC" } metrics { class_name: "Calibration" }
    metrics { class_name: "RootMeanSquaredError" }
    metrics { class_name: "MeanSquaredError" module: "tensorflow_model_analysis.metrics" }
    metrics { class_name: "ConfusionMatrixAtThresholds" config: '"thresholds": [0.3, 0.5]' } }
"""


def test_a_later_batch_without_an_array_form_is_taken_row_by_row(evaluated):
    whole = make_columns()
    parts = [{k: v[part] for k, v in whole.items()} for part in (slice(300), slice(300, None))]
    parts[1]["prediction"] = parts[1]["prediction"][:, None, None]
    plain = evaluated(whole, config=MANY_KINDS)
    mixed = evaluated(parts, config=MANY_KINDS)
    assert plain.row_by_row == ()
    assert {"CalibrationHistogramCombiner", "CompilableMetricsCombiner"} < set(mixed.row_by_row)
    assert mixed.metrics.keys() == plain.metrics.keys()
    for key in plain.metrics:
        expected = {k: float(v) for k, v in values(plain, key).items() if np.isscalar(v)}
        found = {k: v for k, v in values(mixed, key).items() if k in expected}
        assert found == pytest.approx(expected, abs=1e-6)


def test_tfmas_own_functions_are_back_in_place_afterwards(evaluated):
    from tensorflow_model_analysis.metrics import binary_confusion_matrices, calibration_histogram

    evaluated(make_columns())
    for home, name in (
        (calibration_histogram, "rebin"),
        (binary_confusion_matrices, "_histogram_to_binary_confusion_matrices"),
    ):
        assert getattr(home, name).__module__ == home.__name__
