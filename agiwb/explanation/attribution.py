"""What each part of an example adds to the model's answer, and whether it adds up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALLEST_SHARE = 0.01


@dataclass(frozen=True)
class Attribution:
    """How the answers to some examples are made up, one answer an example.

    Attributes:
        contributions: What each feature adds: float64 ``(examples, *features)``.
        answers: The explained answers, ``(examples,)``.
        reference_answers: The answers with nothing known of the example, ``(examples,)``.
        steps: Points on the path that each example needed, ``(examples,)``; none for SHAP.
    """

    contributions: NDArray[np.float64]
    answers: NDArray[np.float64]
    reference_answers: NDArray[np.float64]
    steps: NDArray[np.int64] | None = None

    @property
    def gaps(self) -> NDArray[np.float64]:
        """Relative gap of completeness of each example; see ``completeness_gaps``."""
        return completeness_gaps(self.contributions, self.answers - self.reference_answers)


def completeness_gaps(
    contributions: NDArray[Any], differences: NDArray[np.float64]
) -> NDArray[Any]:
    """Return how far attributions are from summing to the differences: ``(examples,)``.

    The gap is relative to the example's difference, or to a hundredth of the largest difference if
    that is more: a difference of nearly nothing says nothing about the method.

    Args:
        contributions: Attributions, ``(examples, *features)``.
        differences: What they should sum to, ``(examples,)``.
    """
    sums = contributions.reshape(len(contributions), -1).sum(axis=1)
    sizes = np.abs(differences)
    floor = max(_SMALLEST_SHARE * float(sizes.max(initial=0)), float(np.finfo(np.float32).tiny))
    return np.asarray(np.abs(sums - differences) / np.maximum(sizes, floor))
