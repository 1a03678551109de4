"""Drift of the answers: whether the model is as sure, and names the classes as often, as it did."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

_PERMUTATIONS = 3_999


class OutputDrift(BaseModel):
    """How the model's answers in a window compare with those on the reference.

    Attributes:
        score_effect: Kolmogorov-Smirnov distance of the top probabilities, 0 to 1.
        score_p_value: Its p-value.
        reference_score: Mean top probability on the reference.
        window_score: Mean top probability in the window.
        classes_effect: Total variation distance of the shares of predicted classes, 0 to 1.
        classes_p_value: Its p-value.
        reference_shares: Share of each class among the answers on the reference.
        window_shares: The same in the window.
        limit: A p-value below this counts as drift.
    """

    model_config = ConfigDict(frozen=True)

    score_effect: float
    score_p_value: float
    reference_score: float
    window_score: float
    classes_effect: float
    classes_p_value: float
    reference_shares: tuple[float, ...]
    window_shares: tuple[float, ...]
    limit: float

    @property
    def score_drifted(self) -> bool:
        """Whether the model became more, or less, sure of itself."""
        return self.score_p_value < self.limit

    @property
    def classes_drifted(self) -> bool:
        """Whether the model names the classes in other proportions."""
        return self.classes_p_value < self.limit


def compare_output(
    reference: NDArray[np.float32], window: NDArray[np.float32], limit: float, seed: int = 0
) -> OutputDrift | None:
    """Return how the answers in ``window`` compare with those on the reference, or None.

    The p-value of the classes is that of the chi-square statistic among tables with the same
    margins, drawn at random (Patefield 1981): rare classes need no large-sample formula, and a
    class that the reference never saw is one more column.

    Args:
        reference: Probabilities, shape ``(rows, classes)``.
        window: The same for the window; rows that are not finite are left out, and if none is
            left, so is the comparison.
        limit: p-value below which each of the two comparisons counts as drift.
        seed: Equal seeds give equal results.
    """
    from scipy.stats import ks_2samp

    window = window[np.isfinite(window).all(axis=1)]
    if len(window) == 0:
        return None
    known, served = reference.max(axis=1), window.max(axis=1)
    score = ks_2samp(known, served)
    classes = reference.shape[1]
    before, now = (
        np.bincount(answers.argmax(axis=1), minlength=classes) for answers in (reference, window)
    )
    shares_before, shares_now = before / before.sum(), now / now.sum()
    return OutputDrift(
        score_effect=float(score.statistic),
        score_p_value=float(score.pvalue),
        reference_score=float(known.mean()),
        window_score=float(served.mean()),
        classes_effect=float(np.abs(shares_before - shares_now).sum() / 2),
        classes_p_value=_homogeneity_p_value(before, now, seed),
        reference_shares=tuple(shares_before.tolist()),
        window_shares=tuple(shares_now.tolist()),
        limit=limit,
    )


def _homogeneity_p_value(before: NDArray[np.intp], now: NDArray[np.intp], seed: int) -> float:
    total = before + now
    now, total = now[total > 0], total[total > 0]
    rng = np.random.default_rng(seed)
    drawn = rng.multivariate_hypergeometric(
        total, int(now.sum()), size=_PERMUTATIONS, method="marginals"
    )
    # With fixed margins this orders tables as the chi-square statistic does.
    expected = total * (now.sum() / total.sum())
    simulated = ((drawn - expected) ** 2 / total).sum(axis=1)
    observed = ((now - expected) ** 2 / total).sum()
    exceeding = int((simulated >= observed - 1e-9).sum())
    return (1 + exceeding) / (1 + _PERMUTATIONS)
