"""The promise about interrupted trainings, held with real processes and a real kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from agiwb import TrainConfig, TrainRecord, list_jobs, train
from agiwb.cli import main
from agiwb.runs.store import open_store

pytestmark = pytest.mark.slow

FIELDS = {"architecture": "cnn", "units": 16, "epochs": 6, "batch_size": 8, "dropout": 0.5}


def weights(record: TrainRecord) -> list[np.ndarray]:
    import keras

    return keras.models.load_model(record.file("model.keras")).get_weights()


def logged_epochs(workspace: Path, run_id: str, metric: str) -> list[int]:
    from mlflow.tracking import MlflowClient

    history = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}").get_metric_history(
        run_id, metric
    )
    return sorted(point.step for point in history if point.step > 0)


def killed_in_epoch_three(workspace: Path) -> str:
    """Return the id of a run of the command line that was killed with SIGKILL in its epoch 3."""
    flags = [word for name, value in FIELDS.items() for word in (f"--{name}", str(value))]
    with subprocess.Popen([sys.executable, "-m", "agiwb", "train", *flags]) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            (job,) = list_jobs() or [None]
            if job and job.progress and job.progress.phase.startswith("epoch 3"):
                break
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    (lost,) = open_store().summaries()
    assert lost.state == "lost"
    return lost.id


def test_a_training_killed_in_epoch_three_ends_as_if_it_had_not_been(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from agiwb.training.tensorboard import log_folder

    monkeypatch.setenv("AGIWB_WARM", "0")
    run_id = killed_in_epoch_three(workspace)
    assert (workspace / "jobs" / run_id / "checkpoint" / "epoch.npz").is_file()
    capfd.readouterr()
    assert main(["jobs", "resume", run_id[:8]]) == 0
    told = capfd.readouterr()
    assert "epoch 6 of 6" in told.err + told.out
    assert "epoch 1 of 6" not in told.err + told.out
    resumed = open_store().get(run_id)
    assert isinstance(resumed, TrainRecord)
    whole = train(TrainConfig(**FIELDS), reuse=False)
    assert resumed.metrics == whole.metrics
    assert resumed.curves == whole.curves
    for name in whole.curves[0].metrics:
        assert logged_epochs(workspace, run_id, name) == [1, 2, 3, 4, 5, 6], name
    folder = log_folder(resumed.model_name, run_id) / "train"
    shown = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    steps = [point.step for point in shown.Tensors("epoch_accuracy")]
    assert steps == [1, 2, 3, 4, 5, 6]
    pairs = zip(weights(resumed), weights(whole), strict=True)
    assert all(np.array_equal(mine, theirs) for mine, theirs in pairs)
