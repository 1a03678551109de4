from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agiwb import TrainRecord

pytestmark = pytest.mark.slow


def logged(record: TrainRecord, split: str) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from agiwb.training.tensorboard import log_folder

    folder = log_folder(record.model_name, record.run.id) / split
    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def test_the_log_has_curves_histograms_and_the_graph(
    digits_run: TrainRecord, trained_workspace: Path
) -> None:
    import tensorflow as tf

    train, validation = logged(digits_run, "train"), logged(digits_run, "validation")
    for log, split in ((train, "train"), (validation, "validation")):
        points = log.Tensors("epoch_accuracy")
        values = [float(tf.make_ndarray(point.tensor_proto)) for point in points]
        wanted = [epoch.metrics[f"{split}_accuracy"] for epoch in digits_run.curves]
        assert values == pytest.approx(wanted)
        assert [point.step for point in points] == list(range(1, len(wanted) + 1))
    tags = train.Tags()
    assert tags["graph"]
    assert "learning_rate" in tags["tensors"]
    assert "probabilities/kernel" in tags["tensors"]
