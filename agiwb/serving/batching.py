"""TensorFlow Serving's batching parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from agiwb.config import Config
from agiwb.errors import ConfigError


class BatchingParameters(Config):
    """How requests are gathered into batches; names and meanings are TensorFlow Serving's."""

    max_batch_size: int = Field(32, ge=1, description="Most rows in one batch.")
    batch_timeout_micros: int = Field(
        0, ge=0, description="Microseconds a request waits for others to fill its batch."
    )
    max_enqueued_batches: int = Field(
        100, ge=1, description="Batches that may wait; beyond them requests get 503."
    )
    num_batch_threads: int = Field(2, ge=1, le=256, description="Batches that run at once.")
    allowed_batch_sizes: tuple[int, ...] = Field(
        (), description="Sizes that batches are padded to, rising; the last is max_batch_size."
    )
    pad_variable_length_inputs: bool = Field(
        False, description="Pad inputs of different shapes, so that they share a batch."
    )
    enable_large_batch_splitting: bool = Field(
        True, description="Split a request of more rows than a batch holds, rather than refuse it."
    )

    @model_validator(mode="after")
    def _allowed_sizes_rise_to_the_most(self) -> Self:
        sizes = self.allowed_batch_sizes
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != self.max_batch_size):
            raise ValueError(
                f"`allowed_batch_sizes` {list(sizes)} must rise and end with `max_batch_size` "
                f"({self.max_batch_size})."
            )
        return self

    def padded_size(self, rows: int) -> int:
        """Return the allowed size that a batch of ``rows`` is padded to."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


def read_batching_parameters(path: Path) -> BatchingParameters:
    """Return what a ``--batching_parameters_file`` says, TensorFlow Serving's text format.

    Raises:
        ConfigError: The file cannot be read, is not such a file, or a value is out of bounds.
    """
    from agiwb.serving.protobuf.messages import parse_text

    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The batching parameters {path} cannot be read: {error}.",
            "Give a file with lines such as `max_batch_size { value: 32 }`.",
        ) from None
    message = parse_text("BatchingParameters", text, str(path))
    values: dict[str, Any] = {
        field.name: getattr(value, "value", value) for field, value in message.ListFields()
    }
    values.pop("thread_pool_name", None)  # TensorFlow's pools have names, ours need none
    if (most := values.pop("max_execution_batch_size", None)) is not None:
        values["max_batch_size"] = most  # what is split, is split to the size that runs
    if "allowed_batch_sizes" in values:
        values["allowed_batch_sizes"] = tuple(values["allowed_batch_sizes"])
    try:
        return BatchingParameters.from_mapping(values)
    except ConfigError as error:
        raise ConfigError(f"In {path}: {error.problem}", error.fix) from None


def write_batching_parameters(parameters: BatchingParameters, path: Path) -> None:
    """Write what ``read_batching_parameters`` reads, as TensorFlow Serving would, too.

    Raises:
        OSError: The file cannot be written.
    """
    from google.protobuf import text_format

    from agiwb.serving.protobuf.messages import message_class

    message = message_class("BatchingParameters")()
    for name, value in parameters:
        if isinstance(value, tuple):
            getattr(message, name).extend(value)
        elif name == "pad_variable_length_inputs":
            setattr(message, name, value)
        else:  # wrapped, so that 0 and unset are told apart
            getattr(message, name).value = value
    path.write_text(text_format.MessageToString(message), "utf-8")
