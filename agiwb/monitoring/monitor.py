"""The monitor step: served traffic compared with the data the model was trained on."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from agiwb.artifacts.any_format import with_own_format
from agiwb.artifacts.manifest import check_served_name
from agiwb.artifacts.resolve import ArtifactSource, dataset_for, resolve_artifact
from agiwb.datasets.dataset import Dataset
from agiwb.datasets.registry import load_dataset
from agiwb.monitoring.alerts import publish_findings
from agiwb.monitoring.anomalies import Anomaly
from agiwb.monitoring.answering import answer_validation, asking
from agiwb.monitoring.categories import DriftedCodes
from agiwb.monitoring.changes import Change
from agiwb.monitoring.clocks import ClockFinding, check_clocks
from agiwb.monitoring.config import MonitorConfig, unix_time
from agiwb.monitoring.consequence import Consequence
from agiwb.monitoring.described import require_describable
from agiwb.monitoring.hours import DriftedHour
from agiwb.monitoring.judge import judge, metrics_of
from agiwb.monitoring.labelled import Performance, labels_needed
from agiwb.monitoring.log import LabelledPredictions
from agiwb.monitoring.operation import check_operation
from agiwb.monitoring.output import OutputDrift
from agiwb.monitoring.quality import QualityFinding
from agiwb.monitoring.self_test import FaultFound, self_test
from agiwb.monitoring.slice_columns import chosen_columns
from agiwb.monitoring.slices import SliceDrift
from agiwb.monitoring.two_sample import SampleTest
from agiwb.monitoring.verdict import DriftedFeature, describe_alarms, describe_window
from agiwb.monitoring.window import (
    Chosen,
    Traffic,
    fingerprint_of,
    fingerprint_of_labels,
    labels_of,
    read_window,
    reread_window,
)
from agiwb.monitoring.worst_slices import WeakSlice
from agiwb.runs.context import Context
from agiwb.runs.files import sha256_of_file
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.statistics import Interval

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

SMALLEST_WINDOW = 30
"""Rows below which no verdict is given."""


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
    compared_version: int = 0
    """That one."""
    rows_left_out: int = 0
    """Rows that other versions answered; ``rows`` and all that follows is without them."""
    judged: bool
    alarm: bool
    sentences: tuple[str, ...]
    """The verdict in plain words, the numbers second."""
    feature_shape: tuple[int, ...]
    """Of an array; of a table how many columns of numbers it has, of texts how many figures."""
    feature_names: tuple[str, ...] = ()
    """Of a table or of texts; empty for an array."""
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
    """When the model became more, or less, sure."""
    codes: tuple[DriftedCodes, ...] = ()
    """Features of few whole numbers that come in other proportions, or were never seen."""
    slices: tuple[SliceDrift, ...] = ()
    """Each slice of the columns asked for, those that drifted first."""
    loss_changes: tuple[Change, ...] = ()
    """When the share of wrong answers changed, by the rows with a label."""
    hours: tuple[DriftedHour, ...] = ()
    """The hours of the window in which features drifted."""
    operation: tuple[Anomaly, ...] = ()
    """Slow or failed requests and odd hours, as against the log before; they raise no alarm."""
    clocks: tuple[ClockFinding, ...] = ()
    """Times that cannot be."""
    performance: Performance | None = None
    """What the labels show that have come for the window's requests."""
    label_first: tuple[int, ...] = ()
    """Places of the rows whose labels would say most."""
    labels_needed: int | None = None
    """Labels of random rows that would show a drop of 2 points in four cases of five."""
    self_test: tuple[FaultFound, ...] = ()


def _inputs(config: MonitorConfig, store: RunStore) -> dict[str, Input]:
    found = resolve_artifact(config.model, config.format, store)
    data = _load_data(config, found)
    chosen_columns(config.slices, data)
    chosen = _chosen(config, found)
    traffic = read_window(chosen, data)
    inputs = {
        "artifact": Input(found.fingerprint, found.run_id),
        "dataset": Input(data.fingerprint),
        "window": Input(fingerprint_of(traffic)),
        "window_end": Input(repr(float(traffic.rows.times[-1]))),
        "labels": Input(fingerprint_of_labels(labels_of(chosen, traffic.of_newest_version()))),
    }
    if config.request_log is not None:
        inputs["request_log"] = Input(sha256_of_file(config.request_log))
    return inputs


@step("monitor", inputs=_inputs, publish=publish_findings, settle=with_own_format)
def monitor(config: MonitorConfig, context: Context) -> MonitorRecord:
    """Return the record of a window of served traffic: drift, quality, accuracy, operation.

    An alarm is listed among the record's problems (exit code 1), and `agiwb alerts` tells it to
    Prometheus.

    Raises:
        ConfigError: The data set is not known, what was served does not fit it, or it cannot be
            sliced by a column.
        InputError: The artifact's name is none under which it could be served, it takes numbers in
            place of strings, or the request log cannot be read.
        NotFoundError: There is no such artifact, or nothing was served.
        WorkError: The model answers the validation split with NaN or infinity, or rows or labels
            came late into the window while it was read.
    """
    found = resolve_artifact(config.model, config.format, context.store)
    context.confirm("artifact", found.fingerprint)
    data = _load_data(config, found)
    chosen, promised = _chosen(config, found), context.run.provenance.inputs
    served = reread_window(chosen, data, float(promised["window_end"]), promised["window"])
    traffic = served.of_newest_version()
    labelled = labels_of(chosen, traffic)
    context.confirm("labels", fingerprint_of_labels(labelled))
    window = traffic.rows
    left_out = len(served) - len(window)
    delays = None if labelled is None else labelled.label_times - labelled.window.times
    clocks = check_clocks(window.times, traffic.places, context.run.started_at.timestamp(), delays)
    operation = check_operation(chosen, traffic, config.request_log)
    aside = (
        *(one.sentence for one in operation),
        *(one.sentence for one in clocks),
        *((f"Left out are {left_out} rows that other versions answered.",) if left_out else ()),
    )
    record = MonitorRecord(
        run=context.run,
        config=config,
        metrics={"window_rows": len(window)},
        dataset=data.name,
        model_name=chosen.name,
        rows=len(window),
        window_start=datetime.fromtimestamp(window.times.min(), UTC),
        window_end=datetime.fromtimestamp(window.times.max(), UTC),
        versions=tuple(np.unique(served.rows.versions).tolist()),
        compared_version=int(window.versions[-1]),
        rows_left_out=left_out,
        judged=len(window) >= SMALLEST_WINDOW,
        alarm=False,
        sentences=(
            f"Not enough data: {_served(len(window))}, {SMALLEST_WINDOW} are needed.",
            *aside,
        ),
        feature_shape=data.feature_shape,
        operation=operation,
        clocks=clocks,
    )
    if not record.judged:
        return record
    context.say(f"comparing {len(window)} served rows with {data.name}")
    judged = _judge(record, traffic, labelled, data, found)
    return judged.model_copy(update={"sentences": (*judged.sentences, *aside)})


def _judge(
    record: MonitorRecord,
    traffic: Traffic,
    labelled: LabelledPredictions | None,
    data: Dataset,
    found: ArtifactSource,
) -> MonitorRecord:
    """Return ``record`` with all that the window shows."""
    rate, ask = record.config.false_alarm_rate, asking(found, data)
    made = judge(
        data,
        answer_validation(ask, found, data),
        traffic.rows,
        ask,
        rate,
        labelled,
        chosen_columns(record.config.slices, data),
    )
    figures, estimate = made.figures, made.figures.estimate
    alarms = describe_alarms(figures, data.classes)
    as_they_are = (
        *("effect_threshold", "drifted_count", "drifted", "output", "reference_accuracy"),
        *("quality", "samples", "consequences", "weak_slices", "anomalies", "changes", "codes"),
        *("hours", "performance", "label_first", "slices", "loss_changes"),
    )
    names = () if data.features_are_numbers else made.names
    return record.model_copy(
        update={
            **{name: getattr(figures, name) for name in as_they_are},
            "metrics": {**record.metrics, **metrics_of(figures)},
            "problems": alarms,
            "alarm": bool(alarms),
            "sentences": describe_window(figures, alarms),
            "feature_names": names,
            "feature_shape": (len(names),) if names else data.feature_shape,
            "effect_sizes": tuple(made.effects.round(4).tolist()),
            "estimated_accuracy": estimate and estimate.value,
            "estimated_accuracy_interval": estimate and estimate.interval,
            "labels_needed": labels_needed(figures.reference_accuracy),
            "self_test": self_test(made.reference, len(traffic), rate)
            if record.config.self_test
            else (),
        }
    )


def _load_data(config: MonitorConfig, found: ArtifactSource) -> Dataset:
    whose = f"the artifact {found.artifact.name!r}"
    data = load_dataset(dataset_for(config.dataset, found.artifact.dataset, whose))
    require_describable(data, "Monitoring", "Read what was served with `agiwb.read_predictions`.")
    return data


def _chosen(config: MonitorConfig, found: ArtifactSource) -> Chosen:
    return Chosen(
        name=config.model_name or check_served_name(found.artifact.name),
        since=unix_time(config.since, -math.inf),
        until=unix_time(config.until, math.inf),
        version=config.version,
        last_rows=config.last_rows,
    )


def _served(rows: int) -> str:
    return "1 row was served" if rows == 1 else f"{rows} rows were served"
