"""What a confusion matrix says about the classes on average."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class MacroScores(NamedTuple):
    """Unweighted means over the classes, each between 0 and 1."""

    precision: float
    recall: float
    f1: float


def macro_scores(confusion: NDArray[np.int64]) -> MacroScores:
    """Return the macro averages of precision, recall and F1.

    A class counts if it occurs among the labels or the predictions; where a share has nothing to
    divide by (a class never predicted), it is 0. So scikit-learn defines it as well.

    Args:
        confusion: Number of examples, shape ``(classes, classes)``, a row for each true class and
            a column for each predicted one.
    """
    correct = np.diag(confusion)
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    present = (true + predicted) > 0
    shares = (
        _share(correct, predicted),
        _share(correct, true),
        _share(2 * correct, true + predicted),  # the harmonic mean of the two, in counts
    )
    return MacroScores(*(float(share[present].mean()) for share in shares))


def _share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    share = np.zeros(len(part))
    np.divide(part, whole, out=share, where=whole > 0)
    return share
