"""What decides an explanation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agiwb.config import Config
from agiwb.datasets.dataset import SplitName
from agiwb.datasets.registry import DatasetName

Method = Literal["integrated_gradients", "permutation", "shap"]
Baseline = Literal["zeros", "mean", "padding"]


class ExplainConfig(Config):
    """What is explained, on which examples, and how closely."""

    model: str = Field(
        "latest", description="Model: a registered name, a run's id, latest, or a .keras file."
    )
    dataset: DatasetName | None = Field(
        None, description="Data set; by default the one the model was trained on."
    )
    split: SplitName = Field("test", description="Split whose examples are used.")
    method: Literal["auto", "integrated_gradients", "permutation", "shap"] = Field(
        "auto",
        description="auto is permutation for tables, and integrated_gradients for all else; "
        "shap is for tables.",
    )
    examples: int | None = Field(
        None,
        ge=2,
        le=100_000,
        description="Most examples, spread evenly; by default 64, for permutation 2000.",
    )
    target: str | None = Field(
        None, description="Class to explain; by default each example's most probable one."
    )
    slice_column: str | None = Field(
        None, description="Column to compare slices of; by default label, the true class."
    )
    baseline: Literal["auto", "zeros", "mean"] = Field(
        "auto",
        description="Where integrated_gradients starts; auto is zeros (black) for images and "
        "audio, the training data's mean for arrays and sequences, and padding for text.",
    )
    steps: int = Field(
        32, ge=2, le=4096, description="Points on the path, doubled while tolerance is not met."
    )
    max_steps: int = Field(1024, ge=2, le=4096, description="Most points on the path.")
    tolerance: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="Largest gap between the attributions' sum and what they should sum to, as a "
        "share of it.",
    )
    repeats: int = Field(
        10, ge=2, le=1000, description="How often permutation shuffles each column."
    )
    background: int = Field(
        50, ge=1, le=1000, description="Training examples that shap replaces a column from."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of the shuffles.")
