"""A candidate: one point of the trade-off, with all that is known of it."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from agiwb.compression.measurements import Measurements


class Candidate(BaseModel):
    """What became of one recipe.

    It is usable unless there is a ``reason`` against it. One that could not be made or run has a
    reason and no measurements; one that runs but does not beat chance has both.

    Raises:
        ValueError: It has neither measurements nor a reason.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    """The recipe in its notation, and the folder of its files."""
    verdict: str = ""
    """What it gains and loses and why, or why it is not usable, in a few sentences."""
    reason: str = ""
    """Why it is not usable; empty if it is."""
    on_front: bool = False
    """Whether no other candidate is better in one respect and as good in the others."""
    ties: tuple[str, ...] = ()
    """Others on the front whose accuracy and latency cannot be told from its own."""
    picks: tuple[str, ...] = ()
    """Which of the named picks it is: ``quality``, ``balanced``, ``compact``."""
    sparsity: float | None = None
    """Share of zeros in the Keras model's Dense and Conv2D kernels; None if there is no model."""
    layer_sparsity: dict[str, float] = {}
    """The same for each layer that has a kernel, in the order of the model."""
    stage_bytes: dict[str, int] = {}
    """Bytes of the Keras model's weights after ``gzip -9``, by the recipe up to each stage that
    trains, in order; see ``waterfall``."""
    seconds: float = 0
    """What its training and conversion take, whoever of those that share a stage had done it."""
    recipe_file: str = ""
    """Where in the run's files its recipe lies, to make it again; empty if there is none."""
    findings: tuple[str, ...] = ()
    """What further checks of its file found, in sentences; they are part of the verdict."""
    measured: Measurements | None = None

    @property
    def usable(self) -> bool:
        """Whether nothing speaks against it; then it has measurements."""
        return not self.reason

    @model_validator(mode="after")
    def _measured_or_not_usable(self) -> Self:
        if self.usable and self.measured is None:
            raise ValueError(f"The candidate {self.name} has neither measurements nor a reason.")
        return self
