"""The rows and configs on which the fast engine is held to what TFMA writes."""

from __future__ import annotations

import numpy as np

ROWS = 160


def make_columns():
    """Binary, five classes and a number; weights, a baseline of each, and slices."""
    rng = np.random.default_rng(7)
    binary = rng.integers(0, 2, ROWS)
    score = np.clip(rng.normal(0.3 + 0.4 * binary, 0.25), 0, 1)
    score[:20] = np.round(score[:20], 1)  # ties, and predictions at thresholds
    classes = rng.integers(0, 5, ROWS)
    logits = rng.normal(size=(ROWS, 5))
    logits[np.arange(ROWS), classes] += 1.5
    number = rng.normal(size=ROWS)
    number[:3] = 0.0
    return {
        "binary": binary,
        "score": score.astype(np.float32),
        "score_before": np.clip(score + rng.normal(0, 0.1, ROWS), 0, 1).astype(np.float32),
        "class": classes,
        "probabilities": softmax(logits),
        "number": number.astype(np.float32),
        "estimate": (number + rng.normal(0, 0.3, ROWS)).astype(np.float32),
        "weight": rng.uniform(0.1, 2, ROWS).astype(np.float32),
        "site": rng.choice(["a", "b", "7"], ROWS),
        "age": rng.integers(20, 22, ROWS),
        "query": rng.choice(["q1", "q2", "q3", "q4"], ROWS),
        "gain": rng.uniform(0, 3, ROWS).round(1).astype(np.float32),
    }


def softmax(logits):
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


BINARY_METRICS = """
  metrics { class_name: "BinaryAccuracy" }
  metrics { class_name: "AUC" threshold { value_threshold { lower_bound { value: 0.5 } } } }
  metrics { class_name: "AUCPrecisionRecall" }
  metrics { class_name: "Precision" }
  metrics { class_name: "Recall" config: '"thresholds": [0.2, 0.7]' }
  metrics { class_name: "ExampleCount" }
  metrics { class_name: "WeightedExampleCount" }
  metrics { class_name: "Calibration" }
  metrics { class_name: "MeanLabel" }
  metrics { class_name: "BinaryCrossentropy" }
  metrics { class_name: "ConfusionMatrixPlot" config: '"num_thresholds": 20' }
  metrics { class_name: "CalibrationPlot" config: '"num_buckets": 10' }
  metrics { class_name: "SquaredPearsonCorrelation" }
"""

CONFIGS = {
    "binary, two values, cross slices": f"""
      model_specs {{ label_key: "binary" prediction_key: "score" }}
      slicing_specs {{}} slicing_specs {{ feature_keys: "site" }}
      slicing_specs {{ feature_keys: "site" feature_values {{ key: "age" value: "20" }} }}
      slicing_specs {{ feature_values {{ key: "site" value: "a" }}
                       feature_values {{ key: "age" value: "21" }} }}
      cross_slicing_specs {{ baseline_spec {{}} slicing_specs {{ feature_keys: "site" }} }}
      metrics_specs {{ {BINARY_METRICS}
        metrics {{ class_name: "FallOut" per_slice_thresholds {{
          slicing_specs {{ feature_values {{ key: "site" value: "a" }}
                           feature_values {{ key: "age" value: "21" }} }}
          threshold {{ value_threshold {{ upper_bound {{ value: 0.01 }} }} }} }} }}
      }}""",
    "baseline, weights, change threshold": f"""
      model_specs {{ name: "now" label_key: "binary" prediction_key: "score"
                     example_weight_key: "weight" }}
      model_specs {{ name: "before" label_key: "binary" prediction_key: "score_before"
                     example_weight_key: "weight" is_baseline: true }}
      slicing_specs {{}} slicing_specs {{ feature_keys: "age" }}
      metrics_specs {{ {BINARY_METRICS}
        metrics {{ class_name: "MeanPrediction" threshold {{ change_threshold {{
          direction: LOWER_IS_BETTER absolute {{ value: -1 }} }} }} }}
      }}""",
    "classes": """
      model_specs { label_key: "class" prediction_key: "probabilities"
                    example_weight_key: "weight" }
      slicing_specs {} slicing_specs { feature_keys: "site" }
      metrics_specs { metrics { class_name: "SparseCategoricalAccuracy" }
        metrics { class_name: "SparseCategoricalCrossentropy" }
        metrics { class_name: "MultiClassConfusionMatrixPlot" config: '"thresholds": [0.3, 0.5]' }
        metrics { class_name: "SparseTopKCategoricalAccuracy" config: '"k": 2' }
        metrics { class_name: "ExampleCount" } }
      metrics_specs { binarize { class_ids { values: [0, 3] } }
        metrics { class_name: "AUC" } metrics { class_name: "F1Score" }
        metrics { class_name: "BinaryAccuracy" } metrics { class_name: "Calibration" } }
      metrics_specs { binarize { top_k_list { values: [2] } }
        metrics { class_name: "Precision" } metrics { class_name: "Recall" } }
      metrics_specs { aggregate { micro_average: true }
        metrics { class_name: "AUC" } metrics { class_name: "F1Score" }
        metrics { class_name: "BinaryCrossentropy" } }
      metrics_specs { aggregate { macro_average: true
          class_weights { key: 0 value: 1.0 } class_weights { key: 1 value: 2.0 }
          class_weights { key: 2 value: 1.0 } class_weights { key: 3 value: 1.0 }
          class_weights { key: 4 value: 1.0 } }
        metrics { class_name: "Precision" config: '"name": "macro_precision"'  } }
      metrics_specs { aggregate { weighted_macro_average: true
          class_weights { key: 0 value: 1.0 } class_weights { key: 1 value: 1.0 } }
        metrics { class_name: "Recall" config: '"name": "weighted_macro_recall"'  } }""",
    "a number": """
      model_specs { label_key: "number" prediction_key: "estimate" example_weight_key: "weight" }
      slicing_specs {} slicing_specs { feature_keys: "age" }
      metrics_specs {
        metrics { class_name: "MeanAbsoluteError" module: "tensorflow_model_analysis.metrics" }
        metrics { class_name: "MeanSquaredError" }
        metrics { class_name: "MeanAbsolutePercentageError" }
        metrics { class_name: "LogCoshError" } metrics { class_name: "ExampleCount" }
        metrics { class_name: "MeanLabel" } metrics { class_name: "MeanPrediction" } }""",
    "several outputs": """
      model_specs {
        label_keys { key: "yes" value: "binary" } label_keys { key: "class" value: "class" }
        prediction_keys { key: "yes" value: "score" }
        prediction_keys { key: "class" value: "probabilities" } }
      slicing_specs {} slicing_specs { feature_keys: "site" }
      metrics_specs { output_names: "yes" metrics { class_name: "AUC" }
        metrics { class_name: "BinaryAccuracy" } }
      metrics_specs { output_names: "class" metrics { class_name: "SparseCategoricalAccuracy" } }
      """,
    "ranking": """
      model_specs { label_key: "binary" prediction_key: "score" }
      slicing_specs {} slicing_specs { feature_keys: "age" }
      metrics_specs { metrics { class_name: "ExampleCount" } }
      metrics_specs { query_key: "query"
        metrics { class_name: "QueryStatistics" }
        metrics { class_name: "NDCG" config: '"gain_key": "gain", "top_k_list": [1, 3]' } }""",
}
