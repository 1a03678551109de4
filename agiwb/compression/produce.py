"""What became of a recipe: its files and what is known of them, or why there are none."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.compression.recipe import Recipe
from agiwb.errors import InputError, WorkError

if TYPE_CHECKING:
    from agiwb.compression.gate import Gate
    from agiwb.compression.sensitivity import LayerSensitivity
    from agiwb.compression.sizes import FileSize, ModelSize

_LONGEST_REASON = 300


@dataclass(frozen=True)
class Failure:
    """Why something could not be made or run, in a line."""

    reason: str


@dataclass(frozen=True)
class Product:
    """What became of a recipe: its deployable file or why there is none, and what is known."""

    recipe: Recipe
    file: Path | Failure
    sparsity: float | None = None
    """Share of zeros, 0 to 1; None if there is no Keras model."""
    answers: Path | None = None
    """``.npz`` with what the file answered to ``validation`` and ``test``: float32 probabilities
    ``(examples, classes)``."""
    gate: Gate | None = None
    """What was measured as the file was loaded on its own."""
    file_size: FileSize | None = None
    """Bytes of the file."""
    model_size: ModelSize | None = None
    """Bytes that the Keras model's weights need; packed only if the file has the same numbers."""
    seconds: float = 0.0
    """What its training and conversion take, whoever of those that share a stage had done it."""
    siblings: tuple[Path, ...] = ()
    """The ``answers`` of the same recipe with other seeds."""
    stage_bytes: dict[str, int] = field(default_factory=dict)
    """Bytes of the Keras model's weights after ``gzip -9``, by the recipe up to each stage that
    trains."""
    layers: frozenset[str] = frozenset()
    """Class names of the Keras model's layers."""
    recipe_file: str = ""
    """Where in the run's files its recipe lies."""
    sensitivity: tuple[LayerSensitivity, ...] = ()
    """What compressing one layer of it alone costs, if that was asked for."""


def without_baseline(reason: str) -> WorkError:
    """Return what a sweep raises if the model as it is could not be made, run or timed."""
    return WorkError(f"The model as it is cannot be run, so nothing can be compared: {reason}")


def reason_of(error: BaseException) -> str:
    """Return in a line why something failed with ``error``."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return "There was not enough memory. Try a smaller `batch_size` or fewer `workers`."
    # How to mend an input is said to users; what is run here is of our own making.
    problem = error.problem if isinstance(error, InputError) else str(error)
    lines = problem.strip().splitlines() or [type(error).__name__]
    return textwrap.shorten(lines[0], _LONGEST_REASON, placeholder=" […]")
