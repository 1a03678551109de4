"""Drift of images and texts, where single pixels or tokens say little: on embeddings.

A classifier is taught to tell reference from window on one half of the rows and asked about the
other: if it cannot, nothing that it could use has changed (classifier two-sample test, Lopez-Paz
and Oquab 2017). The same classifier says how much likelier each row is in the window than in the
reference, which is what labelled rows are weighted by to stand for the window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

_COMPONENTS = 32
_MOST_ROWS = 4_000
FEWEST_ROWS = 30
"""Rows on either side below which nothing is said."""
_LARGEST_WEIGHT = 20.0
_FOLDS = 5


class SampleTest(BaseModel):
    """Whether a classifier can tell a window's rows from the reference's.

    ``auc`` is the probability that it ranks a row of the window above one of the reference (0.5:
    it cannot); ``p_value`` is that of the rank test (Mann and Whitney 1947) on rows it did not
    learn from.
    """

    model_config = ConfigDict(frozen=True)

    auc: float
    p_value: float
    rows: int


def embed(
    reference: NDArray[np.floating[Any]], *others: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float64], ...]:
    """Return the first principal components, at most 32, of ``reference`` and of ``others``.

    Rows with a value that is NaN or infinite are left out. The components are those of every
    second row of the reference, with which ``compare_samples`` teaches: along its own components
    a sample varies otherwise than rows of the same origin do, which a classifier would notice.

    Args:
        reference: Shape ``(rows, ...)``; each row is flattened.
        others: The same of other rows.
    """
    from sklearn.decomposition import PCA

    known, *rest = (_finite_rows(rows) for rows in (reference, *others))
    taught, _ = _taught_and_asked(known)
    count = min(_COMPONENTS, *taught.shape)
    if count == 0:
        return (known[:, :0], *(rows[:, :0] for rows in rest))
    model = PCA(count, svd_solver="full" if count < _COMPONENTS else "auto", random_state=0)
    with np.errstate(invalid="ignore"):  # features that never vary have no share of the variance
        model.fit(taught)
    return tuple(
        model.transform(rows) if len(rows) else np.zeros((0, count)) for rows in (known, *rest)
    )


def compare_samples(
    reference: NDArray[np.floating[Any]], window: NDArray[np.floating[Any]], seed: int = 0
) -> SampleTest | None:
    """Return whether two samples of embeddings differ, or None if there are too few rows.

    Besides the embeddings the classifier, a logistic regression, is given their squares: so it
    sees a change of scale as well as one of place.

    Args:
        reference: Shape ``(rows, units)``, as ``embed`` gives it; rows that are not finite are left
            out.
        window: The same of the window.
        seed: Equal seeds give equal results.
    """
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(seed)
    known, served = _finite_rows(reference), _some(_finite_rows(window), rng, _MOST_ROWS)
    if min(len(known), len(served)) < FEWEST_ROWS or known.shape[1] == 0:
        return None
    halves = zip(*(_taught_and_asked(rows) for rows in (known, served)), strict=True)
    taught, asked = ([_some(rows, rng, _MOST_ROWS // 2) for rows in half] for half in halves)
    model = _domain_classifier(*taught)
    before, now = (model.decision_function(rows) for rows in asked)
    test = mannwhitneyu(now, before, alternative="greater", method="asymptotic")
    p_value = 1.0 if np.ptp(np.concatenate((before, now))) == 0 else float(test.pvalue)
    auc = float(test.statistic) / (len(before) * len(now))
    return SampleTest(auc=auc, p_value=p_value, rows=sum(map(len, (*taught, *asked))))


def window_weights(
    labelled: NDArray[np.floating[Any]], window: NDArray[np.floating[Any]], seed: int = 0
) -> NDArray[np.float64]:
    """Return how much likelier each labelled row is in the window: their mean is 1.

    The ratio of densities is that of a domain classifier's odds (Bickel, Brueckner and Scheffer
    2009), for rows it did not learn from, and at most 20. With too few rows on either side, all
    weights are 1.

    Args:
        labelled: Embeddings or features, finite, shape ``(rows, units)``.
        window: The same of the window; rows that are not finite are left out.
        seed: Equal seeds give equal results.
    """
    rng = np.random.default_rng(seed)
    served = _some(_finite_rows(window), rng, _MOST_ROWS)
    if min(len(labelled), len(served)) < FEWEST_ROWS or not np.isfinite(labelled).all():
        return np.ones(len(labelled))
    rows = labelled.reshape(len(labelled), -1)
    fold = rng.integers(0, _FOLDS, len(rows))
    logits = np.zeros(len(rows))
    for place in range(_FOLDS):
        asked = fold == place
        if asked.any() and not asked.all():
            model = _domain_classifier(rows[~asked], served)
            logits[asked] = model.decision_function(rows[asked])
    weights = np.minimum(np.exp(np.clip(logits, -20, 20)), _LARGEST_WEIGHT)
    return np.asarray(weights / weights.mean())


def _domain_classifier(known: NDArray[Any], served: NDArray[Any]) -> Any:
    """Return a classifier whose decision is the log odds that a row is of the window."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    rows = np.concatenate((known, served))
    side = np.repeat([0, 1], (len(known), len(served)))
    model = make_pipeline(
        StandardScaler(),
        FunctionTransformer(_with_squares),
        StandardScaler(),
        LogisticRegression(C=0.1, class_weight="balanced", max_iter=200),
    )
    return model.fit(rows, side)


def _with_squares(rows: NDArray[Any]) -> NDArray[Any]:
    near = np.clip(rows, -10, 10)
    return np.concatenate((near, near**2), axis=1)


def _finite_rows(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    flat = rows.reshape(len(rows), int(np.prod(rows.shape[1:]))).astype(np.float64)
    return flat[np.isfinite(flat).all(axis=1)]


def _taught_and_asked(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    return rows[::2], rows[1::2]


def _some(rows: NDArray[np.float64], rng: np.random.Generator, most: int) -> NDArray[np.float64]:
    return rows[rng.permutation(len(rows))[:most]]
