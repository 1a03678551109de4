"""What decides a sweep: the model, the recipes or where to search for them, and the limits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from agiwb.artifacts.manifest import SERVED_NAME
from agiwb.compression.recipe import BASELINE, Engine, RecipeText
from agiwb.config import Config
from agiwb.crews.fields import SchedulerAddress, Workers, scheduler_field
from agiwb.datasets.registry import DatasetName
from agiwb.training.search.storage import StorageUrl

_USUAL_TRIALS = 20


class SweepConfig(Config):
    """What decides a sweep."""

    model: str = Field(
        "latest", description="Model to compress: a registered name, a run, or a .keras file."
    )
    name: str | None = Field(
        None,
        pattern=SERVED_NAME,
        description="Name in the registry for what is chosen; by default it gets none.",
    )
    dataset: DatasetName | None = Field(
        None, description="Data to fine-tune and test on; by default what the model learned from."
    )
    recipes: tuple[RecipeText, ...] = Field(
        ("baseline", "prune_80", "float16", "dynamic", "int8", "prune_80+int8"),
        description="Ways to compress, stages joined by +: distil_<width>, shrink_<percent>, "
        "rank_<percent>, prune_<percent>, two_four, cluster_<values>, qat; then float16, dynamic, "
        "int8, int16x8, onnx, onnx_float16, onnx_dynamic or onnx_int8. Further parameters follow "
        "a colon: prune_80:scope=global.",
    )
    strategy: Literal["recipes", "grid", "nsga2", "tpe"] = Field(
        "recipes",
        description="Which recipes are made: those listed; or after them a grid of `techniques` "
        "and `precisions`, or what a search of that space draws, by validation error and size.",
    )
    techniques: tuple[str, ...] = Field(
        (), description="Words of the techniques that a grid or a search tries: prune, cluster."
    )
    precisions: tuple[str, ...] = Field(
        ("float32", "float16", "dynamic", "int8"),
        description="Last stages that a grid or a search tries; float32 is none.",
    )
    trials: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Recipes that a search draws, by default 20, or that are drawn from a grid, by "
        "default all.",
    )
    storage: StorageUrl = Field(
        None,
        description="URL of the database that keeps a search: postgresql://USER@HOST/DATABASE, "
        "without its password; by default AGIWB_OPTUNA_STORAGE, or SQLite in the workspace.",
    )
    engine: Engine = Field(
        "keras", description="Who prunes, clusters and trains with quantization."
    )
    workers: Workers = Field(
        None,
        description="Candidates made at once: by local processes, by default 1; by a Dask "
        "cluster, by default as many as it has workers.",
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Threads with which a candidate trains, which decide how its sums round; by "
        "default this machine's cores shared by the workers, 1 in a Dask cluster.",
    )
    scheduler: SchedulerAddress = scheduler_field("make the candidates")
    latency_on: str | None = Field(
        None,
        pattern=r"^[\w.-]+$",
        description="Resource of the Dask workers whose latencies count, as `edge` of `dask worker "
        'ADDRESS --resources "edge=1"`; by default this machine measures.',
    )
    timeout_s: float | None = Field(
        None, gt=0, description="Seconds after which a candidate is given up."
    )
    seeds: int = Field(
        1,
        ge=1,
        le=100,
        description="With how many seeds each recipe that trains is made, to see how much its "
        "accuracy owes to luck; the first one's file is kept.",
    )
    fine_tune_epochs: int = Field(
        4, ge=0, le=10_000, description="Passes over the training data in each stage that trains."
    )
    learning_rate: float = Field(
        0.002, gt=0, le=10, description="Step size of the fine-tuning, with Adam."
    )
    batch_size: int = Field(32, ge=1, le=65_536, description="Examples in a fine-tuning batch.")
    seed: int = Field(
        0, ge=0, lt=2**32, description="Seed of fine-tuning, calibration and measuring order."
    )
    calibration_samples: int = Field(
        200, ge=1, le=100_000, description="Training examples from which int8 learns its ranges."
    )
    latency_blocks: int = Field(
        30, ge=5, le=10_000, description="Rounds of the latency measurement, in shuffled order."
    )
    latency_runs: int = Field(
        20, ge=1, le=10_000, description="Inferences of each candidate in a round, at most."
    )
    latency_batch: int = Field(
        32, ge=1, le=65_536, description="Examples in a batch for the latency of batches."
    )
    max_accuracy_drop: float = Field(
        0.01, ge=0, le=1, description="Share of validation examples that the choice may lose."
    )
    max_bytes: int | None = Field(
        None, ge=1, description="Bytes after gzip that the choice may have."
    )
    max_latency_ratio: float | None = Field(
        None, gt=0, description="Longest time the choice may take, relative to the baseline's."
    )
    sensitivity: bool = Field(
        True, description="Whether to try what compressing each layer alone costs."
    )

    @field_validator("recipes")
    @classmethod
    def _baseline_first(cls, recipes: tuple[str, ...]) -> tuple[str, ...]:
        """Return the recipes in their plain notation, each once, the baseline first."""
        return tuple(dict.fromkeys([BASELINE, *recipes]))

    @model_validator(mode="after")
    def _told_apart(self) -> SweepConfig:
        if self.name is not None and self.model == "latest":
            raise ValueError(
                "with a `name` the choice is the latest model from then on. Say which `model` is "
                "compressed."
            )
        return self

    @model_validator(mode="after")
    def _searchable(self) -> SweepConfig:
        if self.latency_on is not None and self.scheduler is None:
            raise ValueError("`latency_on` names workers of a Dask cluster. Give its `scheduler`.")
        if self.strategy != "recipes":
            from agiwb.compression.trials.workshop import grid_of, space_of

            space_of(self)
            if self.strategy == "grid":
                grid_of(self)
        elif self.techniques:
            raise ValueError(
                "techniques are tried by the strategies grid, nsga2 and tpe. Give one as "
                "`strategy`, or list `recipes` instead."
            )
        return self

    @property
    def total_trials(self) -> int:
        """How many recipes a search draws."""
        return self.trials or _USUAL_TRIALS
