"""What the gate step is asked: which versions, on what, and how much worse one may be."""

from __future__ import annotations

from pydantic import Field

from agiwb.artifacts.manifest import ServedFormat
from agiwb.config import Config
from agiwb.datasets.dataset import SplitName
from agiwb.datasets.registry import DatasetName


class GateConfig(Config):
    """Which two versions are compared, on what, and how much worse the challenger may be."""

    model: str = Field(description="Registered name of the model.")
    challenger: int | None = Field(
        None, ge=1, description="Version on trial; by default the ledger's, or the newest."
    )
    champion: int | None = Field(
        None, ge=1, description="Version to compare with; by default the ledger's champion."
    )
    format: ServedFormat = Field("onnx", description="Which of their artifacts is compared.")
    dataset: DatasetName | None = Field(
        None, description="Data set; by default the one the challenger was trained on."
    )
    split: SplitName = Field("test", description="Split whose rows are asked.")
    labelled: bool = Field(
        True,
        description="Ask also the labelled requests that were served since the challenger's "
        "training began.",
    )
    model_name: str | None = Field(
        None, description="Name under which the model is served; by default its own."
    )
    slices: tuple[str, ...] | None = Field(
        None, description="Slice columns that are judged; by default all the data have."
    )
    margin: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="How much accuracy it may have less, over all rows; of a regression the share "
        "of the champion's mean absolute error that it may have more.",
    )
    slice_margin: float = Field(0.05, gt=0, lt=1, description="The same of every slice.")
    min_slice_size: int = Field(
        30, ge=10, description="Slices with fewer rows are shown, but not judged."
    )
    alpha: float = Field(
        0.05,
        gt=0,
        le=0.2,
        description="How often a challenger that is worse by the margin may pass.",
    )
    power: float = Field(
        0.8, ge=0.5, lt=1, description="Chance of an equal one to pass with the labels asked for."
    )
    max_calibration_gap: float | None = Field(
        0.05, gt=0, lt=1, description="How much more calibration error it may have; None: any."
    )
    max_size_ratio: float = Field(
        2.0, gt=0, description="Size of its files over that of the champion's."
    )
    max_latency_ratio: float | None = Field(
        1.5, gt=0, description="Time of one answer over that of the champion; None: not measured."
    )
