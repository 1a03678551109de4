"""A workspace in which there is something to report: evaluated, compressed, served, promoted."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from agiwb import (
    ConvertConfig,
    EvaluateConfig,
    EvaluateRecord,
    MonitorConfig,
    MonitorRecord,
    SweepConfig,
    TrainConfig,
    TrainRecord,
    convert,
    evaluate,
    monitor,
    sweep,
    train,
)
from agiwb.datasets.registry import load_dataset
from agiwb.maintenance.decision import ModelVersion
from agiwb.maintenance.ledger import ledger_of
from agiwb.monitoring.log import roll
from agiwb.runtimes.runtime import open_runtime
from agiwb.serving.prediction_log import Prediction, PredictionLog
from agiwb.serving.prediction_log.compaction import compact

SERVED = "served-digits"
START = 1_790_000_000.0
"""Unix time of the first request, seconds."""


@dataclass(frozen=True)
class Reported:
    """What was made."""

    evaluated: EvaluateRecord
    baseline: EvaluateRecord
    monitored: MonitorRecord
    model: TrainRecord
    other: TrainRecord


@contextmanager
def reported_workspace(folder: Path, empty_history: Path) -> Iterator[Reported]:
    """Make the workspace in ``folder`` this process's; whoever comes first fills it.

    That takes a minute, so the processes that share the tests share it too. Nobody changes it.
    """
    made = folder / "made.pickle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGIWB_WORKSPACE", str(folder / "workspace"))
        with FileLock(folder.with_suffix(".lock")):
            if not made.exists():
                (folder / "workspace").mkdir(parents=True, exist_ok=True)
                shutil.copy(empty_history, folder / "workspace")
                reported = _fill()
                made.write_bytes(pickle.dumps(reported))
        yield pickle.loads(made.read_bytes())  # noqa: S301  our own


def _fill() -> Reported:
    """Return what was made of two models of digits: all that the reports show."""
    other = train(TrainConfig(architecture="mlp", units=32, epochs=6))
    model = train(TrainConfig(architecture="cnn", units=16, epochs=4))
    converted, theirs = (
        convert(ConvertConfig(model=one.run.id, formats=("onnx",))) for one in (model, other)
    )
    baseline = evaluate(EvaluateConfig(model=theirs.run.id))
    evaluated = evaluate(EvaluateConfig(model=converted.run.id, baseline=theirs.run.id))
    recipes = ("baseline", "float16")
    sweep(SweepConfig(model=model.run.id, recipes=recipes, latency_blocks=5, sensitivity=False))
    data = load_dataset("digits")
    answers = open_runtime(converted.file("onnx")).run({"features": data.test.features})
    log = PredictionLog(Path(os.environ["AGIWB_WORKSPACE"]) / "predictions")
    for version, start in ((1, START), (2, START + 30_000)):
        for index, (row, answer) in enumerate(
            zip(data.test.features[:120], answers["probabilities"][:120], strict=True)
        ):
            log.append(
                Prediction(
                    request_id=f"{version}-{index}",
                    time=start + 60 * index,
                    model=SERVED,
                    version=version,
                    inputs={"features": row[None] if version == 1 else 0.5 * row[None]},
                    outputs={"probabilities": answer[None]},
                    latency_ms=2.0 * version,
                )
            )
    log.close()
    folder = Path(os.environ["AGIWB_WORKSPACE"]) / "predictions" / SERVED
    compact(folder)
    roll(folder)
    monitored = monitor(
        MonitorConfig(model=converted.run.id, model_name=SERVED, slices=("hour", "predicted"))
    )
    promoted = ModelVersion(version=1, run_id=model.run.id)
    ledger_of(model.model_name).decide(
        "promote",
        promoted,
        lambda _: {"champion": promoted},
        who="ada",
        why="better on <every> slice",
        evidence=("e" * 64, evaluated.run.id),
    )
    return Reported(evaluated, baseline, monitored, model, other)
