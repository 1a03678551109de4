"""What the evaluate step takes, and what comes out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agiwb.artifacts.any_format import OneArtifactConfig
from agiwb.artifacts.manifest import Format
from agiwb.datasets.dataset import SplitName
from agiwb.datasets.registry import DatasetName
from agiwb.evaluation.beam_pipeline import BeamPlace
from agiwb.evaluation.engines import Engine
from agiwb.evaluation.fairness import Fairness
from agiwb.evaluation.regression import SliceErrors
from agiwb.runs.record import Record
from agiwb.statistics import Interval

TFMA_FOLDER = "tfma"
SLICES_FILE = "slices.parquet"
LABEL_COLUMN = "label"
"""The slice column that every data set has: the name of the true class."""

Verdict = Literal["passed", "failed", "too small"]


class EvaluateConfig(OneArtifactConfig):
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
    min_parity_ratio: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least ratio of how often two groups are named a class (demographic parity) "
        "to pass; the four-fifths rule has 0.8.",
    )
    max_odds_difference: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Largest difference between groups in true and false positive rates "
        "(equalized odds) to pass.",
    )
    max_mae: float | None = Field(
        None, ge=0, description="Largest mean absolute error of a regression to pass."
    )
    baseline: str | None = Field(
        None, description="Model to compare with, named as `model`; differences are in the files."
    )
    eval_config: Path | None = Field(
        None, description="TFMA's EvalConfig, text proto or JSON, in place of these thresholds."
    )
    engine: Engine = Field("fast", description="TFMA's metrics over arrays, or TFMA on Beam.")
    beam_options: tuple[str, ...] = Field(
        (),
        description="Beam's pipeline options for the engine tfma: runner=FlinkRunner "
        "flink_master=HOST:8081; by default it runs in this process.",
    )
    beam_folder: str | None = Field(
        None,
        min_length=1,
        description="Folder, or URL of an object store, through which Beam's workers are given "
        "the predictions and give the results; by default a temporary folder of this machine.",
    )

    @model_validator(mode="after")
    def _beam_only_for_tfma(self) -> EvaluateConfig:
        if self.engine != "tfma" and (self.beam_options or self.beam_folder):
            raise ValueError(
                "`beam_options` and `beam_folder` are for the engine tfma. Set `engine: tfma`."
            )
        return self

    @property
    def beam_place(self) -> BeamPlace:
        """Where the engine tfma works."""
        return BeamPlace(self.beam_options, self.beam_folder)


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

    ``tfma/`` holds TFMA's own results, which ``tfma.load_eval_result`` opens; ``metrics.parquet``
    and ``plots.parquet`` hold the same numbers as tables, and ``slices.parquet`` the rows of
    ``slices``. With an ``eval_config`` these are the results that it asks for. A failed threshold
    is one of ``problems``, so a command that evaluates an unblessed model ends with exit code 1;
    so are examples that had to be left out.
    """

    config: EvaluateConfig
    dataset: str
    artifact_name: str
    artifact_format: Format
    classes: tuple[str, ...]
    examples: int
    left_out: int = 0
    """Examples without a figure: a model's answer, or a weight, is NaN or infinite."""
    accuracy_interval: Interval | None
    """None for a regression."""
    slices: tuple[SliceMetrics, ...] = ()
    """Of a classification."""
    errors: tuple[SliceErrors, ...] = ()
    """Of a regression, by slice."""
    fairness: tuple[Fairness, ...] = ()
    """How the groups of each slice column but label are treated, by the most probable class."""
    confusion: tuple[tuple[int, ...], ...] = ()
    """Examples by true class (rows) and most probable class (columns)."""
    blessed: bool
    """Whether every threshold was passed, those of fairness too; never without one."""
