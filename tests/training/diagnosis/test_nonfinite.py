"""A NaN is followed back to the layer, the batch and the row that it came from."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from agiwb import TrainConfig, load_dataset
from agiwb.datasets.dataset import Dataset, Split
from agiwb.errors import WorkError
from tests.training.diagnosis.watched import builder, fit_watched, numbers

pytestmark = pytest.mark.slow

ROW = 140  # not among those that a builder's model is tried on


def positive(zero_at: int | None = None) -> Dataset:
    """Return 240 training rows of positive numbers; one of them may have a zero."""
    features = np.random.default_rng(0).random((400, 4)) + 0.1
    labels = features[:, 0] > 0.6
    if zero_at is not None:
        features[zero_at, 2] = 0
    return numbers(features, labels)


def failure(config: TrainConfig, data: Dataset) -> str:
    with pytest.raises(WorkError) as caught:
        fit_watched(config, data)
    return str(caught.value)


def batch_of(row: int, data: Dataset, config: TrainConfig) -> int:
    """Return which batch of the first epoch has the row, the first being 1."""
    from agiwb.training.pipeline import training_batches

    numbered = Split(np.arange(len(data.train)), data.train.labels)
    batches = training_batches(numbered, config.batch_size, config.seed, range(1))
    return next(
        number for number, (rows, _) in enumerate(batches, 1) if row in np.asarray(rows).tolist()
    )


@pytest.mark.parametrize(
    ("name", "layer"), [("logarithm", r"log\S* \(Log\)"), ("nested", r"inner/log\S* \(Log\)")]
)
def test_a_layer_is_named(tmp_path: Path, name: str, layer: str) -> None:
    config = TrainConfig(architecture=builder(tmp_path, name), epochs=2, batch_size=16)
    data = positive(zero_at=ROW)
    with pytest.raises(
        WorkError, match=f"began in the layer {layer}.*row {ROW} of the tr"
    ) as caught:
        fit_watched(config, data)
    assert f"epoch 1 of 2, batch {batch_of(ROW, data, config)}: " in str(caught.value)


def test_a_gradient_without_bounds_is_named(tmp_path: Path) -> None:
    config = TrainConfig(architecture=builder(tmp_path, "square_root"), epochs=1, batch_size=16)
    message = failure(config, positive())
    # Some kernels for ReLU make zero of NaN: the weights then show it, else the next loss does.
    assert re.search("weights of first (are )?NaN", message)
    assert "step on batch 1 of epoch 1" in message
    assert "gradient was lost in the layer sqrt" in message


def test_a_nan_in_the_data_is_named_though_a_relu_hides_it() -> None:
    data = positive()
    data.train.features[77, 1] = np.nan
    config = TrainConfig(architecture="mlp", epochs=1, batch_size=16)
    message = failure(config, data)
    assert "row 77 of the training data has NaN or infinity in its features at [1]" in message
    assert f"step on batch {batch_of(77, data, config)} of epoch 1" in message
    assert "Mend or drop such rows" in message


def test_a_training_that_runs_away_is_told_from_bad_data() -> None:
    config = TrainConfig(architecture="mlp", epochs=3, optimizer="sgd", learning_rate=10, l2=1.0)
    message = failure(config, load_dataset("digits"))
    assert "penalty on the weights of hidden_1" in message
    assert "smaller `learning_rate` than 10" in message


def test_gaps_that_a_model_fills_are_not_blamed(tmp_path: Path) -> None:
    features = np.zeros(100, [("size", np.float32)])
    features["size"] = np.random.default_rng(0).normal(size=100)
    features["size"][::3] = np.nan
    labels = (np.nan_to_num(features["size"]) > 0).astype(np.int64)
    parts = (Split(features[rows], labels[rows]) for rows in np.split(np.arange(100), [60, 80]))
    data = Dataset("gaps", ("no", "yes"), 1.0, *parts, kind="table")
    found = fit_watched(TrainConfig(architecture="tabular", epochs=1), data)
    assert "nonfinite_validation" not in found.rules


def test_a_validation_row_is_named(tmp_path: Path) -> None:
    data = positive()
    data.validation.features[9, 0] = 0.0
    config = TrainConfig(architecture=builder(tmp_path, "logarithm"), epochs=1, batch_size=64)
    finding = fit_watched(config, data)["nonfinite_validation"]
    assert finding.severity == "problem"
    assert "first row 9, whose features are all finite" in finding.what
