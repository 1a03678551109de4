"""On random labels, weights and ties, each slice has what TFMA's own combiners make of its rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.slow

FEW = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

BINARY = """
  model_specs { label_key: "label" prediction_key: "prediction" example_weight_key: "weight" }
  slicing_specs {} slicing_specs { feature_keys: "slice" }
  metrics_specs { metrics { class_name: "AUC" config: '"num_thresholds": 20' }
    metrics { class_name: "Recall" }
    metrics { class_name: "Precision" config: '"thresholds": [0.0, 0.5, 1.0]' }
    metrics { class_name: "Calibration" } metrics { class_name: "BinaryAccuracy" }
    metrics { class_name: "ExampleCount" } }
"""
CLASSES = """
  model_specs { label_key: "label" prediction_key: "prediction" example_weight_key: "weight" }
  slicing_specs {} slicing_specs { feature_keys: "slice" }
  metrics_specs { metrics { class_name: "SparseCategoricalAccuracy" }
    metrics { class_name: "MultiClassConfusionMatrixAtThresholds"
              config: '"thresholds": [0.6, 0.2]' } }
  metrics_specs { binarize { class_ids { values: [2] } }
    metrics { class_name: "AUC" config: '"num_thresholds": 20' } }
  metrics_specs { aggregate { micro_average: true }
    metrics { class_name: "AUC" config: '"num_thresholds": 20' }
    metrics { class_name: "BinaryAccuracy" } }
  metrics_specs { binarize { top_k_list { values: [2] } } metrics { class_name: "Recall" } }
"""
NUMBERS = """
  model_specs { label_key: "label" prediction_key: "prediction" example_weight_key: "weight" }
  slicing_specs {} slicing_specs { feature_keys: "slice" }
  metrics_specs { metrics { class_name: "MeanSquaredError" } metrics { class_name: "MeanLabel" }
    metrics { class_name: "MeanAbsolutePercentageError" } }
"""


@st.composite
def rows(draw, classes):
    """Some rows; with few rows and values, ties and slices of one class come often."""
    count = draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    top = draw(st.integers(1, max(classes, 1)))
    width = classes if classes > 2 else 1
    steps = draw(st.sampled_from([2, 10, 1000]))
    predictions = random.integers(0, steps + 1, (count, width)) / steps
    labels = random.integers(0, top, count) if classes else random.integers(-2, 3, count) / 2
    weights = random.choice([0.0, 0.5, 1.0, 3.0], count).astype(np.float32)
    slices = random.choice(["a", "b", "c"], count)
    if classes > 2:  # TFMA itself fails on the top k of a slice whose weights are all 0
        weights[np.unique(slices, return_index=True)[1]] = 1.0
    return {
        "label": labels if classes else labels.astype(np.float32),
        "prediction": predictions.astype(np.float32),
        "weight": weights,
        "slice": slices,
    }


@pytest.fixture(scope="module")
def config_of():
    from google.protobuf import text_format

    from agiwb.evaluation.tfma_engine import import_tfma

    import_tfma()
    from tensorflow_model_analysis.proto import config_pb2

    return lambda text: text_format.Parse(text, config_pb2.EvalConfig())


def row_by_row(columns, config):
    """Return every slice's metrics, all leaves computed by TFMA's own combiners."""
    from agiwb.evaluation.fast import tally
    from agiwb.evaluation.fast.engine import evaluate_columns

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "_leaf", lambda _: None)
        found = evaluate_columns([columns], config)
    assert found.row_by_row
    return found.metrics


def assert_equal(columns, config):
    from agiwb.evaluation.fast.engine import evaluate_columns

    fast = evaluate_columns([columns], config)
    assert fast.row_by_row == ()
    reference = row_by_row(columns, config)
    assert fast.metrics.keys() == reference.keys()
    for key, values in reference.items():
        assert fast.metrics[key].keys() == values.keys()
        for name, value in values.items():
            assert plain(fast.metrics[key][name]) == pytest.approx(
                plain(value), rel=1e-6, abs=1e-6, nan_ok=True
            ), (key, name)


def plain(value):
    """Return a metric as a number, a list or a flat mapping."""
    if isinstance(value, dict):
        return {(t, *entry): n for t, row in value.items() for entry, n in row.items()}
    return np.asarray(value, float).tolist()


@FEW
@given(columns=rows(classes=2))
def test_binary(columns, config_of):
    assert_equal(columns, config_of(BINARY))


AT_THE_THRESHOLD = {
    "label": np.array([0, 0]),
    "prediction": np.array([[0.7, 0.8, 0.0, 0.8], [0.5, 0.5, 0.6, 0.3]], np.float32),
    "weight": np.ones(2, np.float32),
    "slice": np.array(["a", "b"]),
}
"""A float32 of 0.6 is more than 0.6, but not where both are compared as float32."""


@FEW
@example(columns=AT_THE_THRESHOLD)
@given(columns=rows(classes=4))
def test_classes(columns, config_of):
    assert_equal(columns, config_of(CLASSES))


@FEW
@given(columns=rows(classes=0))
def test_numbers(columns, config_of):
    assert_equal(columns, config_of(NUMBERS))
