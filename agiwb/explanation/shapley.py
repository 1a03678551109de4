"""SHAP values: each column's fair share of an answer.

Lundberg and Lee, "A Unified Approach to Interpreting Model Predictions" (NeurIPS 2017). A column's
Shapley value is what its value adds to the answer, averaged over all orders in which the columns
could become known; an unknown column is averaged over a background of training examples. The shap
library estimates it from random orders, each taken forwards and backwards (Strumbelj and Kononenko
2014; Mitchell et al. 2022). Whatever the orders, the values and the mean answer over the background
sum to the answer: local accuracy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.source import Progress, say_nothing
from agiwb.explanation.answers import AnswerFunction
from agiwb.explanation.attribution import Attribution
from agiwb.explanation.columns import Columns

_ORDERS = 10
_EXAMPLES_AT_ONCE = 4


def shap_values(
    answer: AnswerFunction,
    columns: Columns,
    features: NDArray[Any],
    background: NDArray[Any],
    targets: NDArray[np.intp],
    *,
    seed: int = 0,
    report: Progress = say_nothing,
) -> Attribution:
    """Return the SHAP values of ``features``, from 10 orders an example.

    Args:
        answer: The model.
        columns: Of the features and the background.
        features: The examples, as the model takes them.
        background: Training examples, as the model takes them.
        targets: The output that is explained, for each example.
        seed: Equal seeds give equal orders.
        report: Told of a phase, how much of it is done, and how much there is.
    """
    import shap  # type: ignore[import-untyped]

    matrix = columns.matrix(features)
    state: Any = np.random.get_state()  # noqa: NPY002  shap seeds NumPy's one for all
    try:
        explainer = shap.PermutationExplainer(
            lambda rows: answer(columns.features(np.asarray(rows))),
            shap.maskers.Independent(columns.matrix(background), max_samples=len(background)),
            seed=seed,
        )
        evaluations = _ORDERS * (2 * matrix.shape[1] + 1)
        values, references = [], []
        for start in range(0, len(matrix), _EXAMPLES_AT_ONCE):
            few = matrix[start : start + _EXAMPLES_AT_ONCE]
            found: Any = explainer(few, max_evals=evaluations, silent=True)
            # shap drops the axis of a single output.
            values.append(found.values.reshape(*few.shape, -1))
            references.append(found.base_values.reshape(len(few), -1))
            report("averaging over orders", start + len(few), len(matrix))
    finally:
        np.random.set_state(state)  # noqa: NPY002
    rows = np.arange(len(matrix))
    return Attribution(
        np.concatenate(values)[rows, :, targets],
        answer(features)[rows, targets].astype(np.float64),
        np.concatenate(references)[rows, targets].astype(np.float64),
    )
