"""The evaluate step: TFMA's figures overall and on every slice, and a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from agiwb.artifacts.manifest import Format
from agiwb.artifacts.resolve import ArtifactSource, dataset_for, resolve_artifact
from agiwb.config import Config
from agiwb.datasets.dataset import Dataset, SplitName
from agiwb.datasets.registry import DatasetName, load_arrays_of_classes
from agiwb.errors import ConfigError, did_you_mean
from agiwb.evaluation.confusion import macro_scores
from agiwb.evaluation.tfma_engine import (
    Predictions,
    Scores,
    SliceKey,
    TfmaResult,
    Thresholds,
    run_tfma,
)
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.runtimes.answers import answer_split
from agiwb.statistics import Interval, wilson_interval

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

TFMA_FOLDER = "tfma"
SLICES_FILE = "slices.parquet"
LABEL_COLUMN = "label"
"""The slice column that every data set has: the name of the true class."""

Verdict = Literal["passed", "failed", "too small"]


class EvaluateConfig(Config):
    """What is evaluated, on which examples, and what is good enough."""

    model: str = Field(
        "latest", description="Model: a registered name, a run's id, latest, or an artifact folder."
    )
    format: Format = Field("onnx", description="Which of the model's artifacts is evaluated.")
    dataset: DatasetName | None = Field(
        None, description="Data set; by default the one the model was trained on."
    )
    split: SplitName = Field("test", description="Split whose examples are used.")
    slices: tuple[str, ...] | None = Field(
        None, description="Slice columns; by default all the data set has, and label."
    )
    min_accuracy: float = Field(
        0.9, ge=0, le=1, description="Least accuracy over all examples to pass."
    )
    min_slice_accuracy: float = Field(
        0.8, ge=0, le=1, description="Least accuracy of every slice to pass."
    )
    min_slice_size: int = Field(
        30, ge=1, description="Slices with fewer examples are shown, but not judged."
    )


class SliceMetrics(BaseModel):
    """The figures of one slice: the examples whose ``column`` has ``value``.

    ``loss`` is the mean cross-entropy in nats, ``accuracy_interval`` a 95 % Wilson interval.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    value: str
    examples: int
    accuracy: float
    accuracy_interval: Interval
    loss: float
    verdict: Verdict

    @property
    def judged(self) -> bool:
        """Whether the slice is large enough to be held to the threshold."""
        return self.verdict != "too small"

    @property
    def passed(self) -> bool:
        """Whether the slice was judged and is good enough."""
        return self.verdict == "passed"


class EvaluateRecord(Record):
    """A model's quality on one split of a data set.

    ``tfma/`` holds TFMA's own results, which ``tfma.load_eval_result`` opens, and
    ``slices.parquet`` the rows of ``slices``. A failed threshold is one of ``problems``, so a
    command that evaluates an unblessed model ends with exit code 1.
    """

    config: EvaluateConfig
    dataset: str
    artifact_name: str
    artifact_format: Format
    classes: tuple[str, ...]
    examples: int
    accuracy_interval: Interval
    slices: tuple[SliceMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Examples by true class (rows) and most probable class (columns)."""
    blessed: bool
    """Whether every threshold was passed, as TFMA's validation says."""


def _inputs(config: EvaluateConfig, store: RunStore) -> dict[str, Input]:
    found = resolve_artifact(config.model, config.format, store)
    data = _load_data(config, found)
    _slice_columns(config, data)
    return {
        "artifact": Input(found.fingerprint, found.run_id),
        "dataset": Input(data.fingerprint),
    }


@step("evaluate", inputs=_inputs)
def evaluate(config: EvaluateConfig, context: Context) -> EvaluateRecord:
    """Return the record of an artifact's quality, overall and on every slice.

    Raises:
        ConfigError: The data set is not known, has no such slice column, or does not fit.
        NotFoundError: There is no such artifact.
        WorkError: The model answers with NaN or infinity.
    """
    found = resolve_artifact(config.model, config.format, context.store)
    context.confirm("artifact", found.fingerprint)
    data = _load_data(config, found)
    predictions = Predictions(
        labels=data[config.split].labels,
        probabilities=answer_split(found, data, config.split),
        slices=_slice_columns(config, data),
    )
    context.stop_if_cancelled()
    context.say(
        f"evaluating {found.artifact.name} ({found.artifact.format}) on {len(predictions.labels)} "
        f"examples of {data.name} with TFMA, which takes about 20 seconds to load"
    )
    result = run_tfma(predictions, _thresholds(config), context.files / TFMA_FOLDER)
    slices = tuple(_slice_metrics(config, key, result) for key in result.slices)
    _write_parquet(slices, context.files / SLICES_FILE)
    return EvaluateRecord(
        run=context.run,
        config=config,
        metrics=_metrics(config.split, result),
        problems=_problems(config, result),
        dataset=data.name,
        artifact_name=found.artifact.name,
        artifact_format=found.artifact.format,
        classes=data.classes,
        examples=result.overall.examples,
        accuracy_interval=_interval(result.overall),
        slices=slices,
        confusion=tuple(tuple(row) for row in result.confusion.tolist()),
        blessed=result.blessed,
    )


def _load_data(config: EvaluateConfig, found: ArtifactSource) -> Dataset:
    whose = f"the artifact {found.artifact.name!r}"
    return load_arrays_of_classes(
        dataset_for(config.dataset, found.artifact.dataset, whose), "An evaluation"
    )


def _slice_columns(config: EvaluateConfig, data: Dataset) -> dict[str, NDArray[Any]]:
    """Return the columns to slice by; raise ConfigError for one the data set does not have."""
    split = data[config.split]
    columns = {**split.slices, LABEL_COLUMN: np.array(data.classes)[split.labels]}
    wanted = columns if config.slices is None else dict.fromkeys(config.slices)
    for name in wanted:
        if name not in columns:
            raise ConfigError(
                f"`slices`: the {config.split} split of {data.name} has no slice column {name!r}.",
                did_you_mean(name, columns),
            )
    return {name: columns[name] for name in wanted}


def _thresholds(config: EvaluateConfig) -> Thresholds:
    return Thresholds(config.min_accuracy, config.min_slice_accuracy, config.min_slice_size)


def _interval(scores: Scores) -> Interval:
    return wilson_interval(scores.correct, scores.examples)


def _slice_metrics(config: EvaluateConfig, key: SliceKey, result: TfmaResult) -> SliceMetrics:
    scores = result.slices[key]
    verdict: Verdict = "failed" if key in result.failed else "passed"
    return SliceMetrics(
        column=key[0],
        value=key[1],
        examples=scores.examples,
        accuracy=scores.accuracy,
        accuracy_interval=_interval(scores),
        loss=scores.loss,
        verdict="too small" if scores.examples < config.min_slice_size else verdict,
    )


def _metrics(split: SplitName, result: TfmaResult) -> dict[str, float]:
    macro = macro_scores(result.confusion)
    return {
        f"{split}_accuracy": result.overall.accuracy,
        f"{split}_loss": result.overall.loss,
        f"{split}_macro_precision": macro.precision,
        f"{split}_macro_recall": macro.recall,
        f"{split}_macro_f1": macro.f1,
    }


def _problems(config: EvaluateConfig, result: TfmaResult) -> tuple[str, ...]:
    found = []
    if result.overall_failed:
        found.append(_shortfall("all examples", result.overall, config.min_accuracy))
    for key in sorted(result.failed):
        name = f"the slice {key[0]} = {key[1]}"
        found.append(_shortfall(name, result.slices[key], config.min_slice_accuracy))
    return tuple(found)


def _shortfall(name: str, scores: Scores, least: float) -> str:
    low, high = _interval(scores)
    return (
        f"On {name} the accuracy is {scores.accuracy:.4f} ({scores.correct} of {scores.examples} "
        f"right; 95 % interval {low:.3f} to {high:.3f}), below the threshold of {least:g}."
    )


def _write_parquet(slices: tuple[SliceMetrics, ...], path: Path) -> None:
    """Keep the slices' figures where dashboards can read them without loading TFMA."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number = pa.string(), pa.float64()
    schema = pa.schema(
        [
            ("column", text),
            ("value", text),
            ("examples", pa.int64()),
            ("accuracy", number),
            ("accuracy_low", number),
            ("accuracy_high", number),
            ("loss", number),
            ("verdict", text),
        ]
    )
    rows = []
    for entry in slices:
        low, high = entry.accuracy_interval
        bounds = {"accuracy_low": low, "accuracy_high": high}
        rows.append(entry.model_dump(exclude={"accuracy_interval"}) | bounds)
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
