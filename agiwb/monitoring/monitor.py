"""The monitor step: served traffic compared with the data the model was trained on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agiwb.artifacts.manifest import SERVED_NAME, check_served_name
from agiwb.artifacts.resolve import ArtifactSource, dataset_for, resolve_artifact
from agiwb.config import Config
from agiwb.datasets.dataset import Dataset
from agiwb.datasets.registry import DatasetName, load_arrays_of_classes
from agiwb.monitoring.drift import (
    FeatureDrift,
    OutputDrift,
    calibrate_effect,
    compare_features,
    compare_output,
    feature_names,
)
from agiwb.monitoring.estimate import estimate_accuracy
from agiwb.monitoring.quality import QualityFinding, check_quality
from agiwb.monitoring.verdict import DriftedFeature, Figures, describe_alarms, describe_window
from agiwb.monitoring.window import fingerprint_of, newest_version, read_window, reread_window
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.runtimes.answers import answer_split
from agiwb.serving.prediction_log import PredictionWindow
from agiwb.statistics import Interval

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

SMALLEST_WINDOW = 30
"""Rows below which no verdict is given."""
_LISTED_FEATURES = 20
_QUESTIONS = 4
"""Features, certainty, classes and quality: each may raise a quarter of the false alarms."""


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
    # Below 0.002 no p-value from the permutations in compare_output would be small enough.
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
    judged = _judge(record, window, data, answer_split(found, data, "validation"))
    return judged.model_copy(update={"sentences": (*judged.sentences, *aside)})


def _judge(
    record: MonitorRecord,
    window: PredictionWindow,
    data: Dataset,
    validation: NDArray[np.float32],
) -> MonitorRecord:
    """Return ``record`` with all that the window shows; ``validation`` are the known answers."""
    rate = record.config.false_alarm_rate / _QUESTIONS
    reference, served = _flat(data.train.features), _flat(window.features)
    threshold = calibrate_effect(reference, len(served), rate)
    drift = compare_features(reference, served, threshold, rate)
    names = feature_names(data.feature_shape)
    estimate = estimate_accuracy(validation, data.validation.labels, window.probabilities)
    figures = Figures(
        rows=len(served),
        features=len(names),
        drifted_count=int(drift.drifted.sum()),
        drifted=_strongest(drift, names, reference, served),
        effect_threshold=threshold,
        output=compare_output(validation, window.probabilities, rate),
        quality=check_quality(reference, served, names, rate),
        estimate=estimate,
        reference_accuracy=float((validation.argmax(axis=1) == data.validation.labels).mean()),
    )
    alarms = describe_alarms(figures, data.classes)
    return record.model_copy(
        update={
            "metrics": {**record.metrics, **_metrics(figures)},
            "problems": alarms,
            "alarm": bool(alarms),
            "sentences": describe_window(figures, alarms),
            "effect_sizes": tuple(drift.effect.round(4).tolist()),
            "effect_threshold": threshold,
            "drifted_count": figures.drifted_count,
            "drifted": figures.drifted,
            "output": figures.output,
            "estimated_accuracy": estimate and estimate.value,
            "estimated_accuracy_interval": estimate and estimate.interval,
            "reference_accuracy": figures.reference_accuracy,
            "quality": figures.quality,
        }
    )


def _load_data(config: MonitorConfig, found: ArtifactSource) -> Dataset:
    whose = f"the artifact {found.artifact.name!r}"
    return load_arrays_of_classes(
        dataset_for(config.dataset, found.artifact.dataset, whose), "Monitoring"
    )


def _served_name(config: MonitorConfig, found: ArtifactSource) -> str:
    return config.model_name or check_served_name(found.artifact.name)


def _flat(features: NDArray[np.float32]) -> NDArray[np.float32]:
    return features.reshape(len(features), -1)


def _strongest(
    drift: FeatureDrift,
    names: tuple[str, ...],
    reference: NDArray[np.float32],
    served: NDArray[np.float32],
) -> tuple[DriftedFeature, ...]:
    order = np.argsort(-drift.effect, kind="stable")
    listed = order[drift.drifted[order]][:_LISTED_FEATURES]
    return tuple(
        DriftedFeature(
            feature=names[index],
            effect=drift.effect[index],
            p_value=drift.p_value[index],
            psi=drift.psi[index],
            divergence=drift.divergence[index],
            training_mean=reference[:, index].mean(),
            window_mean=served[:, index].mean(where=np.isfinite(served[:, index])),
        )
        for index in listed
    )


def _metrics(figures: Figures) -> dict[str, float]:
    metrics = {
        "window_drifted_share": figures.drifted_count / figures.features,
        "window_quality_findings": len(figures.quality),
        "validation_accuracy": figures.reference_accuracy,
    }
    if figures.output is not None:
        metrics["window_score_effect"] = figures.output.score_effect
        metrics["window_classes_effect"] = figures.output.classes_effect
    if figures.estimate is not None:
        metrics["window_estimated_accuracy"] = figures.estimate.value
    return metrics
