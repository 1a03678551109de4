"""A candidate: one point of the trade-off, and what it means in a sentence."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from agiwb.compression.measure import Speed
from agiwb.compression.recipe import BASELINE
from agiwb.statistics import Interval

SIGNIFICANT = 0.05
"""A McNemar p-value above it is no sign of a difference."""

_NOTICEABLE = 1.05
"""A size that differs by less is not worth a claim."""


class Candidate(BaseModel):
    """What became of one recipe; what was not measured, because it failed first, is None."""

    model_config = ConfigDict(frozen=True)

    name: str
    """The recipe in its notation, and the folder of its files."""
    status: Literal["ok", "failed"]
    reason: str = ""
    """Why it failed."""
    validation_accuracy: float | None = None
    """Share right of the validation split: the front and the choice go by it, never by the test."""
    validation_p_value: float | None = None
    """McNemar's on the validation split, that this candidate and the baseline err alike."""
    test_accuracy: float | None = None
    accuracy_interval: Interval | None = None
    worse: int | None = None
    """Test examples that only the baseline gets right."""
    better: int | None = None
    """Test examples that only this candidate gets right."""
    p_value: float | None = None
    """McNemar's on the test split."""
    agreement: float | None = None
    """Share of the test examples for which it names the same class as the baseline."""
    size_bytes: int | None = None
    gzip_bytes: int | None = None
    sparsity: float | None = None
    """Share of zeros among the weights of the Keras model's Dense and Conv2D kernels."""
    latency_ms_p50: float | None = None
    latency_ratio: float | None = None
    """Its time divided by the baseline's."""
    latency_ratio_interval: Interval | None = None
    speed: Speed = "same"
    """What may be claimed of its latency, the noise of the measurement considered."""
    on_front: bool = False
    """Whether no other candidate is better in one respect and as good in the others."""
    verdict: str = ""

    @property
    def accuracy_differs(self) -> bool:
        """Whether its test accuracy can be told from the baseline's."""
        return _is_significant(self.p_value)

    @property
    def validation_differs(self) -> bool:
        """Whether its validation accuracy can be told from the baseline's."""
        return _is_significant(self.validation_p_value)


def _is_significant(p_value: float | None) -> bool:
    return p_value is not None and p_value <= SIGNIFICANT


def describe(candidate: Candidate, baseline: Candidate, examples: int) -> str:
    """Return one plain sentence that weighs ``candidate`` against ``baseline``.

    Args:
        candidate: One whose measurements are all there, or a failed one.
        baseline: The model as it was.
        examples: Number of examples the accuracy was measured on.
    """
    if candidate.status == "failed":
        return f"Not usable: {candidate.reason}"
    if candidate.name == BASELINE:
        return (
            f"The model as it is: {candidate.test_accuracy:.1%} of {examples} test examples right, "
            f"{candidate.size_bytes:,} bytes, {candidate.gzip_bytes:,} after gzip."
        )
    parts = (_size(candidate, baseline), _accuracy(candidate, baseline), _speed(candidate))
    sentence = ", ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _size(candidate: Candidate, baseline: Candidate) -> str:
    file = (baseline.size_bytes or 0) / (candidate.size_bytes or 1)
    packed = (baseline.gzip_bytes or 0) / (candidate.gzip_bytes or 1)
    if packed < 1 / _NOTICEABLE:
        return f"{1 / packed:.1f} times larger after gzip"
    if packed < _NOTICEABLE:
        return "not smaller"
    if file < _NOTICEABLE:
        return f"the file is not smaller until compressed, then {packed:.1f} times"
    return f"{packed:.1f} times smaller after gzip"


def _accuracy(candidate: Candidate, baseline: Candidate) -> str:
    counts = f"({candidate.worse} worse, {candidate.better} better)"
    if not candidate.accuracy_differs:
        return f"no detectable loss of accuracy {counts}"
    gain = 100 * ((candidate.test_accuracy or 0) - (baseline.test_accuracy or 0))
    return f"{abs(gain):.1f} points {'more' if gain > 0 else 'less'} accurate {counts}"


def _speed(candidate: Candidate) -> str:
    if candidate.speed == "same":
        return "no measurable difference in speed"
    times = "of" if candidate.speed == "faster" else "times"
    return f"{candidate.latency_ratio:.2f} {times} the baseline's time"
