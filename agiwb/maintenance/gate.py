"""The gate step: whether a challenger may take the champion's place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.manifest import check_served_name
from agiwb.artifacts.resolve import ArtifactSource, dataset_for, resolve_artifact
from agiwb.datasets.dataset import CLASSIFYING, Split
from agiwb.datasets.main_metric import graded_task
from agiwb.datasets.registry import load_dataset
from agiwb.errors import ConfigError, DatasetError, did_you_mean
from agiwb.maintenance.checks import Check, check_golden, check_latency, check_size
from agiwb.maintenance.decision import ModelVersion
from agiwb.maintenance.gate_config import GateConfig
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.promotion import champion_of, find_version
from agiwb.maintenance.scores import Answers, ask, calibration_error, calibration_gap
from agiwb.maintenance.served_rows import (
    FRESH,
    KNOWN_BY,
    NOT_KNOWN,
    ORIGIN,
    ServedRows,
    labels_known_by,
    served_rows,
    together,
)
from agiwb.maintenance.verdict import OVERALL, Compared, Terms, Verdict, compare, decide
from agiwb.monitoring.described import is_describable
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore


class GateRecord(Record):
    """Whether a challenger may be promoted, and why; anything but ``promote`` is a problem."""

    config: GateConfig
    model_name: str
    champion: ModelVersion
    challenger: ModelVersion
    dataset: str
    verdict: Verdict
    sentences: tuple[str, ...]
    rows: int
    served_rows: int
    """How many of them are labelled requests."""
    compared: tuple[Compared, ...]
    """All rows first, then every slice."""
    checks: tuple[Check, ...]
    labels_needed: int | None = None
    """About how many more labels would settle what is open; None if nothing is, or none would."""


class _Sides:
    """Both versions and their artifacts, and what they are judged on."""

    def __init__(
        self, config: GateConfig, store: RunStore, labels_known_by: float = math.inf
    ) -> None:
        ledger = ledger_of(config.model)
        standing = ledger.standing()
        if config.challenger is None and standing.challenger is not None:
            self.challenger = standing.challenger
        else:
            self.challenger = find_version(config.model, config.challenger, store)
        if config.champion is None:
            self.champion = champion_of(config.model, ledger)
        else:
            self.champion = find_version(config.model, config.champion, store)
        if self.champion.version == self.challenger.version:
            raise ConfigError(
                f"`challenger`: version {self.challenger.version} of {config.model} is the "
                "champion.",
                "Name another one; `agiwb retrain` makes one.",
            )
        self.ours = _artifact(config, self.challenger, store)
        self.theirs = _artifact(config, self.champion, store)
        whose = f"version {self.challenger.version} of {config.model}"
        self.data = load_dataset(dataset_for(config.dataset, self.ours.artifact.dataset, whose))
        if self.data.task not in CLASSIFYING and graded_task(self.data) != "regression":
            raise DatasetError(
                f"The gate takes data of classes or of numbers; {self.data.name} is for "
                f"{self.data.task}.",
                "Compare such models by their records, and promote with `--ungated`.",
            )
        self.served = self._served(config, store, labels_known_by)

    def _served(self, config: GateConfig, store: RunStore, known_by: float) -> ServedRows | None:
        if not config.labelled or not is_describable(self.data):
            return None
        name = config.model_name or check_served_name(config.model)
        began = store.get(self.challenger.run_id).run.started_at.timestamp()
        return served_rows(name, self.data, since=began, known_by=known_by)

    def split(self, config: GateConfig) -> Split:
        own = self.data[config.split]
        if self.served is None or not len(self.served):
            return own
        origin = own.slices.get(ORIGIN, np.full(len(own), "data set"))
        return together(own, self.served.split, origin)


def _artifact(config: GateConfig, version: ModelVersion, store: RunStore) -> ArtifactSource:
    return resolve_artifact(f"{config.model}/{version.version}", config.format, store)


def _inputs(config: GateConfig, store: RunStore) -> dict[str, Input]:
    sides = _Sides(config, store)
    _slices(config, sides.split(config))
    inputs = {
        "challenger": Input(sides.ours.fingerprint, sides.ours.run_id),
        "champion": Input(sides.theirs.fingerprint, sides.theirs.run_id),
        "dataset": Input(sides.data.fingerprint),
    }
    if sides.served is not None:
        inputs["served_labels"] = Input(sides.served.digest())
        inputs[KNOWN_BY] = Input(repr(sides.served.known_by))
    return inputs


@step("gate", inputs=_inputs)
def gate(config: GateConfig, context: Context) -> GateRecord:
    """Return the record of a challenger compared with the champion on the same rows.

    It may pass if it is shown not to be worse by the margin, over all rows and in every slice, and
    keeps to all else. It is rejected if it is shown to be worse, or breaks anything else. Between
    the two there is not enough evidence, and the record says of how many more labels there is.

    Raises:
        NotFoundError: There is no such model, version or artifact, or no champion.
        ConfigError: The data do not fit, or have no such slice column.
        WorkError: What is compared was replaced meanwhile.
    """
    sides = _Sides(config, context.store, labels_known_by(context))
    context.confirm("challenger", sides.ours.fingerprint)
    context.confirm("champion", sides.theirs.fingerprint)
    if sides.served is not None:
        context.confirm("served_labels", sides.served.digest())
    split = sides.split(config)
    context.say(
        f"comparing version {sides.challenger.version} of {config.model} with version "
        f"{sides.champion.version} on {len(split)} rows"
    )
    ours, theirs = (ask(found, sides.data, split) for found in (sides.ours, sides.theirs))
    context.stop_if_cancelled()
    classifying = sides.data.task in CLASSIFYING
    unit = 1.0 if classifying else max(float(-theirs.scores.mean()), 1e-12)
    terms = Terms(
        config.margin * unit,
        config.slice_margin * unit,
        config.alpha,
        config.power,
        config.min_slice_size,
    )
    compared = compare(theirs.scores, ours.scores, _slices(config, split), terms)
    checks = _checks(config, context, sides, ours, theirs, classifying=classifying)
    growing = {OVERALL, f"{ORIGIN}={FRESH}"} if sides.served is not None else set()
    verdict, sentences, labels = decide(compared, checks, config.power, growing)
    return GateRecord(
        run=context.run,
        config=config,
        metrics=_metrics(ours, theirs, classifying=classifying),
        problems=() if verdict == "promote" else (f"The verdict is: {verdict}.", *sentences),
        model_name=config.model,
        champion=sides.champion,
        challenger=sides.challenger,
        dataset=sides.data.name,
        verdict=verdict,
        sentences=sentences,
        rows=len(split),
        served_rows=0 if sides.served is None else len(sides.served),
        compared=compared,
        checks=checks,
        labels_needed=labels,
    )


def _slices(config: GateConfig, split: Split) -> dict[str, NDArray[np.bool_]]:
    """Return the rows of each slice by name; a column of one value tells nothing."""
    wanted = split.slices if config.slices is None else config.slices
    slices: dict[str, NDArray[np.bool_]] = {}
    for column in wanted:
        if column not in split.slices:
            raise ConfigError(
                f"`slices`: the data have no slice column {column!r}.",
                did_you_mean(column, split.slices),
            )
        values = split.slices[column]
        found = np.unique(values)
        if len(found) > 1:
            named = (value for value in found if value != NOT_KNOWN)
            slices |= {f"{column}={value}": values == value for value in named}
    return slices


def _checks(
    config: GateConfig,
    context: Context,
    sides: _Sides,
    ours: Answers,
    theirs: Answers,
    *,
    classifying: bool,
) -> tuple[Check, ...]:
    checks = [_answered(ours), check_golden(sides.ours, sides.theirs, sides.data)]
    if classifying and config.max_calibration_gap is not None:
        checks.append(_calibrated(ours, theirs, config.max_calibration_gap, config.alpha))
    checks.append(check_size(sides.ours, sides.theirs, config.max_size_ratio))
    if config.max_latency_ratio is not None and sides.data.features_are_numbers:
        limit = config.max_latency_ratio
        checks.append(
            check_latency(
                sides.ours,
                sides.theirs,
                sides.data,
                limit,
                lambda done, total: context.progress("latency", done, total),
            )
        )
    return tuple(checks)


def _answered(ours: Answers) -> Check:
    return Check(
        name="answers",
        outcome="failed" if ours.broken else "passed",
        sentence=f"It answers {ours.broken} of {len(ours.scores)} rows with NaN or infinity.",
    )


def _calibrated(ours: Answers, theirs: Answers, limit: float, alpha: float) -> Check:
    gap, (low, high) = calibration_gap(ours, theirs, level=alpha)
    outcome: Literal["passed", "failed", "not enough evidence"] = "not enough evidence"
    labels = None
    if high <= limit:
        outcome = "passed"
    elif low > limit:
        outcome = "failed"
    else:  # an interval narrows with the root of the rows
        rows, room = len(ours.scores), limit - max(gap, 0.0)
        labels = rows if room <= 0 else round(rows * max(((high - gap) / room) ** 2 - 1, 0.1))
    return Check(
        name="calibration",
        outcome=outcome,
        labels_needed=labels,
        sentence=f"Its calibration error is {gap:+.3f} against the champion's ({low:+.3f} to "
        f"{high:+.3f}); the limit is {limit:+g}.",
    )


def _metrics(ours: Answers, theirs: Answers, *, classifying: bool) -> dict[str, float]:
    metrics: dict[str, float] = {}
    sides: dict[str, Any] = {"challenger": ours, "champion": theirs}
    for role, one in sides.items():
        if classifying:
            metrics[f"{role}_accuracy"] = float(one.scores.mean())
            metrics[f"{role}_calibration_error"] = calibration_error(one.values, one.scores)
        else:
            metrics[f"{role}_mae"] = float(-one.scores.mean())
    return metrics
