"""A candidate: one point of the trade-off, and what it means in a sentence."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from agiwb.compression.measure import Speed
from agiwb.compression.recipe import BASELINE
from agiwb.statistics import Interval

SIGNIFICANT = 0.05
"""A McNemar p-value above it is no sign of a difference."""

_NOTICEABLE = 1.05
"""A size that differs by less is not worth a claim."""


class Measurements(BaseModel):
    """What was measured on a candidate's file, loaded back; every number is there."""

    model_config = ConfigDict(frozen=True)

    validation_accuracy: float
    """Share right of the validation split: the front and the choice go by it, never by the test."""
    validation_p_value: float
    """McNemar's on the validation split, that this candidate and the baseline err alike."""
    test_accuracy: float
    accuracy_interval: Interval
    """Of the test accuracy, 95 %."""
    worse: int
    """Test examples that only the baseline gets right."""
    better: int
    """Test examples that only this candidate gets right."""
    p_value: float
    """McNemar's on the test split."""
    agreement: float
    """Share of the test examples for which it names the same class as the baseline."""
    size_bytes: int
    gzip_bytes: int
    latency_ms_p50: float
    latency_ratio: float
    """Its time divided by the baseline's."""
    latency_ratio_interval: Interval
    speed: Speed
    """What may be claimed of its latency, the noise of the measurement considered."""

    @property
    def accuracy_differs(self) -> bool:
        """Whether its test accuracy can be told from the baseline's."""
        return self.p_value <= SIGNIFICANT

    @property
    def validation_differs(self) -> bool:
        """Whether its validation accuracy can be told from the baseline's."""
        return self.validation_p_value <= SIGNIFICANT


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
    """What it gains and loses, or why it is not usable, in a sentence."""
    reason: str = ""
    """Why it is not usable; empty if it is."""
    on_front: bool = False
    """Whether no other candidate is better in one respect and as good in the others."""
    sparsity: float | None = None
    """Share of zeros in the Keras model's Dense and Conv2D kernels; None if there is no model."""
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


def describe(candidate: Candidate, baseline: Measurements, examples: int) -> str:
    """Return one plain sentence that weighs ``candidate`` against ``baseline``.

    Args:
        candidate: Any; of one that is not usable the sentence says why.
        baseline: The measurements of the model as it was.
        examples: Number of examples the test accuracy was measured on.
    """
    measured = candidate.measured
    if measured is None or not candidate.usable:
        return f"Not usable: {candidate.reason}"
    if candidate.name == BASELINE:
        return (
            f"The model as it is: {measured.test_accuracy:.1%} of {examples} test examples right, "
            f"{measured.size_bytes:,} bytes, {measured.gzip_bytes:,} after gzip."
        )
    parts = (_size(measured, baseline), _accuracy(measured, baseline), _speed(measured))
    sentence = ", ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _size(measured: Measurements, baseline: Measurements) -> str:
    file = baseline.size_bytes / measured.size_bytes
    packed = baseline.gzip_bytes / measured.gzip_bytes
    if packed < 1 / _NOTICEABLE:
        return f"{1 / packed:.1f} times larger after gzip"
    if packed < _NOTICEABLE:
        return "not smaller"
    if file < _NOTICEABLE:
        return f"the file is not smaller until compressed, then {packed:.1f} times"
    return f"{packed:.1f} times smaller after gzip"


def _accuracy(measured: Measurements, baseline: Measurements) -> str:
    counts = f"({measured.worse} worse, {measured.better} better)"
    if not measured.accuracy_differs:
        return f"no detectable loss of accuracy {counts}"
    gain = 100 * (measured.test_accuracy - baseline.test_accuracy)
    return f"{abs(gain):.1f} points {'more' if gain > 0 else 'less'} accurate {counts}"


def _speed(measured: Measurements) -> str:
    if measured.speed == "same":
        return "no measurable difference in speed"
    times = "of" if measured.speed == "faster" else "times"
    return f"{measured.latency_ratio:.2f} {times} the baseline's time"
