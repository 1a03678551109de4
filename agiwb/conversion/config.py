"""What decides a conversion."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from agiwb.artifacts.manifest import FORMATS, FULL_PRECISION, Format
from agiwb.config import Config
from agiwb.conversion.options import (
    MOST_WARM_UP_REQUESTS,
    NEWEST_OPSET,
    OLDEST_OPSET,
    ConversionOptions,
    Interface,
)
from agiwb.datasets.registry import DatasetName

_ALL = "all"
_OPTIONAL: tuple[Format, ...] = ("openvino",)


class ConvertConfig(Config):
    """What decides a conversion."""

    model: str = Field(
        "latest",
        description="Model: a registered name, a run, `latest`, a .keras file, or the folder of "
        "an artifact.",
    )
    formats: tuple[Format, ...] = Field(
        FULL_PRECISION,
        min_length=1,
        description="Formats to write; `all` for every one that needs no extra package.",
    )
    dataset: DatasetName | None = Field(
        None, description="Data set for the parity check; by default the one trained on."
    )
    samples: int = Field(
        256, ge=1, le=1_000_000, description="Most validation examples in the parity check."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of the draw of these examples.")
    score: bool = Field(
        True,
        description="Judge the model and its artifacts by the data set's labels, too; without it "
        "answers alone are compared, whatever their shape: for models of another task.",
    )
    allow_divergence: bool = Field(
        False,
        description="Keep artifacts that differ from the model by more than is allowed, marked so.",
    )
    preprocessing: bool = Field(
        True,
        description="Take raw inputs; without it, the formats begin after the layers that read "
        "strings, whose vocabularies are written into artifact.json.",
    )
    calibration_samples: int = Field(
        128, ge=1, le=100_000, description="Training examples that integer formats learn from."
    )
    interface: Interface = Field(
        "float", description="What litert_int8 and litert_int16x8 take and give."
    )
    allow_flex: bool = Field(
        False, description="Let TensorFlow's operators into LiteRT, which then needs TensorFlow."
    )
    opset: int = Field(
        NEWEST_OPSET, ge=OLDEST_OPSET, le=NEWEST_OPSET, description="ONNX' operator set."
    )
    example_signatures: bool = Field(
        False, description="Give the SavedModel a classify or regress signature over tf.Example."
    )
    warm_up: int = Field(
        0,
        ge=0,
        le=MOST_WARM_UP_REQUESTS,
        description="Requests to record in the SavedModel, which servers run when they load it.",
    )

    @field_validator("formats", mode="before")
    @classmethod
    def _all_formats(cls, formats: Any) -> Any:
        words = [formats] if isinstance(formats, str) else formats
        if isinstance(words, (list, tuple)) and list(words) == [_ALL]:
            return tuple(kind for kind in FORMATS if kind not in _OPTIONAL)
        return formats

    @field_validator("formats")
    @classmethod
    def _without_repeats(cls, formats: tuple[Format, ...]) -> tuple[Format, ...]:
        return tuple(dict.fromkeys(formats))

    @property
    def options(self) -> ConversionOptions:
        """How the converters write."""
        return ConversionOptions(
            opset=self.opset,
            interface=self.interface,
            allow_flex=self.allow_flex,
            example_signatures=self.example_signatures,
            warm_up=self.warm_up,
        )
