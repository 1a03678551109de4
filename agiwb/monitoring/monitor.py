"""The monitor step: served traffic compared with the data the model was trained on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from agiwb.artifacts.manifest import SERVED_NAME, check_served_name
from agiwb.artifacts.resolve import ArtifactSource, dataset_for, resolve_artifact
from agiwb.config import Config
from agiwb.datasets.dataset import Dataset
from agiwb.datasets.registry import DatasetName, load_arrays_of_classes
from agiwb.monitoring.anomalies import Anomaly
from agiwb.monitoring.changes import Change
from agiwb.monitoring.consequence import Consequence
from agiwb.monitoring.judge import judge, metrics_of
from agiwb.monitoring.labelled import labels_needed
from agiwb.monitoring.output import OutputDrift
from agiwb.monitoring.quality import QualityFinding
from agiwb.monitoring.self_test import FaultFound, self_test
from agiwb.monitoring.two_sample import SampleTest
from agiwb.monitoring.verdict import DriftedFeature, describe_alarms, describe_window
from agiwb.monitoring.window import fingerprint_of, newest_version, read_window, reread_window
from agiwb.monitoring.worst_slices import WeakSlice
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.runtimes.answers import answer_split
from agiwb.runtimes.asking import answer_all
from agiwb.runtimes.runtime import open_runtime
from agiwb.serving.prediction_log import PredictionWindow
from agiwb.statistics import Interval

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

SMALLEST_WINDOW = 30
"""Rows below which no verdict is given."""


class MonitorConfig(Config):
    """Which served traffic is compared with what."""

    model: str = Field(
        "latest", description="Model: a registered name, a run's id, latest, or an artifact folder."
    )
    format: Literal["onnx", "litert"] = Field(
        "onnx", description="Which of the model's artifacts answers for the validation split."
    )
    dataset: DatasetName | None = Field(
        None, description="Data set to compare with; by default the one the model was trained on."
    )
    last_rows: int | None = Field(
        None, ge=1, description="Rows served last that are compared; by default all."
    )
    false_alarm_rate: float = Field(
        0.05, ge=0.005, lt=0.5, description="Share of windows without drift that may alarm."
    )
    self_test: bool = Field(
        False,
        description="Put known faults into copies of the training data, and say which are found.",
    )
    # Below 0.0035 no p-value from the permutations in compare_output would be small enough.
    model_name: str | None = Field(
        None,
        pattern=SERVED_NAME,
        description="Name under which the model is served; by default the artifact's.",
    )


class MonitorRecord(Record):
    """How a window of served traffic compares with the training data.

    An alarm is one of ``problems``, so a command that finds one ends with exit code 1 and a
    pipeline can act on it. A window of fewer than 30 rows is not ``judged`` and never alarms.
    """

    config: MonitorConfig
    dataset: str
    model_name: str
    rows: int
    window_start: datetime
    window_end: datetime
    versions: tuple[int, ...]
    """Versions of the model that answered; only the rows of the newest row's are compared."""
    rows_left_out: int = 0
    """Rows that other versions answered; ``rows`` and all that follows is without them."""
    judged: bool
    alarm: bool
    sentences: tuple[str, ...]
    """The verdict in plain words, the numbers second."""
    feature_shape: tuple[int, ...]
    effect_sizes: tuple[float, ...] = ()
    """Effect of each feature in the order of a flattened example, for pictures."""
    effect_threshold: float | None = None
    drifted_count: int = 0
    drifted: tuple[DriftedFeature, ...] = ()
    """The features that drifted, the 20 strongest at most, the strongest first."""
    output: OutputDrift | None = None
    estimated_accuracy: float | None = None
    """Expected without labels; concept drift is invisible to it."""
    estimated_accuracy_interval: Interval | None = None
    reference_accuracy: float | None = None
    """On the validation split."""
    quality: tuple[QualityFinding, ...] = ()
    samples: SampleTest | None = None
    """Whether the rows as a whole can be told from the training data."""
    consequences: tuple[Consequence, ...] = ()
    """What each drifted feature does to the expected accuracy, the most harmful first."""
    weak_slices: tuple[WeakSlice, ...] = ()
    """Where the model is expected to be wrong more often than elsewhere, the worst first."""
    anomalies: tuple[Anomaly, ...] = ()
    changes: tuple[Change, ...] = ()
    """When the model became more, or less, sure; needs the package river."""
    label_first: tuple[int, ...] = ()
    """Places of the rows whose labels would say most."""
    labels_needed: int | None = None
    """Labels of random rows that would show a drop of 2 points in four cases of five."""
    self_test: tuple[FaultFound, ...] = ()


def _inputs(config: MonitorConfig, store: RunStore) -> dict[str, Input]:
    found = resolve_artifact(config.model, config.format, store)
    data = _load_data(config, found)
    window = read_window(_served_name(config, found), config.last_rows, data)
    return {
        "artifact": Input(found.fingerprint, found.run_id),
        "dataset": Input(data.fingerprint),
        "window": Input(fingerprint_of(window)),
        "window_end": Input(repr(float(window.times[-1]))),
    }


@step("monitor", inputs=_inputs)
def monitor(config: MonitorConfig, context: Context) -> MonitorRecord:
    """Return the record of a window of served traffic: drift, quality, expected accuracy.

    An alarm is listed among the record's problems (exit code 1).

    Raises:
        ConfigError: The data set is not known, or what was served does not fit it.
        InputError: The artifact's name is none under which it could be served.
        NotFoundError: There is no such artifact, or nothing was served.
        WorkError: The model answers the validation split with NaN or infinity, or rows came late
            into the window while it was read.
    """
    found = resolve_artifact(config.model, config.format, context.store)
    context.confirm("artifact", found.fingerprint)
    data = _load_data(config, found)
    name, promised = _served_name(config, found), context.run.provenance.inputs
    served = reread_window(
        name, config.last_rows, float(promised["window_end"]), promised["window"]
    )
    window = newest_version(served)
    left_out = len(served) - len(window)
    aside = (f"Left out are {left_out} rows that other versions answered.",) if left_out else ()
    record = MonitorRecord(
        run=context.run,
        config=config,
        metrics={"window_rows": len(window)},
        dataset=data.name,
        model_name=name,
        rows=len(window),
        window_start=datetime.fromtimestamp(window.times.min(), UTC),
        window_end=datetime.fromtimestamp(window.times.max(), UTC),
        versions=tuple(np.unique(served.versions).tolist()),
        rows_left_out=left_out,
        judged=len(window) >= SMALLEST_WINDOW,
        alarm=False,
        sentences=(
            f"Not enough data: {len(window)} rows were served, {SMALLEST_WINDOW} are needed.",
            *aside,
        ),
        feature_shape=data.feature_shape,
    )
    if not record.judged:
        return record
    context.say(f"comparing {len(window)} served rows with {data.name}")
    judged = _judge(record, window, data, found)
    return judged.model_copy(update={"sentences": (*judged.sentences, *aside)})


def _judge(
    record: MonitorRecord, window: PredictionWindow, data: Dataset, found: ArtifactSource
) -> MonitorRecord:
    """Return ``record`` with all that the window shows."""
    rate = record.config.false_alarm_rate
    runtime = open_runtime(found.folder)
    validation = answer_split(found, data, "validation")
    made = judge(data, validation, window, lambda rows: answer_all(runtime, rows), rate)
    figures, estimate = made.figures, made.figures.estimate
    alarms = describe_alarms(figures, data.classes)
    reference = data.train.features.reshape(len(data.train.features), -1)
    return record.model_copy(
        update={
            "metrics": {**record.metrics, **metrics_of(figures)},
            "problems": alarms,
            "alarm": bool(alarms),
            "sentences": describe_window(figures, alarms),
            "effect_sizes": tuple(made.effects.round(4).tolist()),
            "effect_threshold": figures.effect_threshold,
            "drifted_count": figures.drifted_count,
            "drifted": figures.drifted,
            "output": figures.output,
            "estimated_accuracy": estimate and estimate.value,
            "estimated_accuracy_interval": estimate and estimate.interval,
            "reference_accuracy": figures.reference_accuracy,
            "quality": figures.quality,
            "samples": figures.samples,
            "consequences": figures.consequences,
            "weak_slices": figures.weak_slices,
            "anomalies": figures.anomalies,
            "changes": figures.changes,
            "label_first": figures.label_first,
            "labels_needed": labels_needed(figures.reference_accuracy),
            "self_test": self_test(reference, len(window), rate) if record.config.self_test else (),
        }
    )


def _load_data(config: MonitorConfig, found: ArtifactSource) -> Dataset:
    whose = f"the artifact {found.artifact.name!r}"
    return load_arrays_of_classes(
        dataset_for(config.dataset, found.artifact.dataset, whose), "Monitoring"
    )


def _served_name(config: MonitorConfig, found: ArtifactSource) -> str:
    return config.model_name or check_served_name(found.artifact.name)
