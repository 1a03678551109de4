"""Anomalies: single rows, latencies and errors that are out of the ordinary.

A window's *distribution* may be as ever while a few of its rows are like nothing in the reference.
Every check says how often chance alone would raise it.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.monitoring.chance import chance

_NORMAL = 1.4826
"""Times the median absolute deviation is the standard deviation, if values are normal."""
_USUAL = 0.99
"""Share of the reference's rows that count as usual."""
_MOST_ROWS = 5_000
_NARROWEST = 16
"""Units in the middle of an autoencoder."""
FEWEST_ROWS = 30
"""Rows below which a sample says nothing."""


class Anomaly(BaseModel):
    """Something out of the ordinary.

    Attributes:
        kind: What the figures are about.
        share: Share of the rows or requests; for traffic, rows of the hour.
        usual_share: The same of the reference.
        p_value: None where chance was not reckoned.
        rows: Places in the window, the oddest first.
        sentence: All of it in words.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["inputs", "images", "answers", "latency", "errors", "traffic"]
    share: float
    usual_share: float
    p_value: float | None
    rows: tuple[int, ...]
    sentence: str


def robust_z_scores(
    reference: NDArray[np.floating[Any]], window: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return how many robust standard deviations each value is from the reference's median.

    The deviation is the median absolute one (Hampel 1974), which a few wild values leave as it is.
    If more than half of the reference is one value, the mean absolute deviation takes its place,
    and a reference that never varies makes every other value infinitely far. Values that are not
    finite have no score: NaN.

    Args:
        reference: One feature or figure, shape ``(rows,)``.
        window: The same of the window.
    """
    known = reference[np.isfinite(reference)].astype(np.float64)
    if len(known) == 0:
        return np.full(len(window), np.nan)
    middle = np.median(known)
    deviation = np.abs(known - middle)
    scale = _NORMAL * np.median(deviation) or deviation.mean()
    away = np.where(np.isfinite(window), window.astype(np.float64) - middle, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(away == 0, 0.0, away / scale)


def odd_values(
    kind: Literal["inputs", "images", "answers", "latency"],
    reference: NDArray[np.floating[Any]],
    window: NDArray[np.floating[Any]],
    level: float,
) -> Anomaly | None:
    """Return what is odd about a window's figures, or None if no more of them are high than usual.

    More than usual means that a share of the window lies above what 99 % of the reference's rows
    do not exceed which chance would give in at most ``level`` of windows. The reference's own
    uncertainty about that limit is allowed for.

    Args:
        kind: What the figures are about.
        reference: Figure of each of the reference's rows: an oddity, or a latency.
        window: The same of the window.
        level: Share of ordinary windows that may be reported.
    """
    from scipy.stats import betabinom

    known, served = reference[np.isfinite(reference)], window[np.isfinite(window)]
    if min(len(known), len(served)) < FEWEST_ROWS:
        return None
    limit = np.sort(known)[int(_USUAL * len(known))]
    above = int((served > limit).sum())
    usual = int((known > limit).sum())
    # How many of the window exceed a limit that is an order statistic (Wilks 1942).
    p_value = float(betabinom.sf(above - 1, len(served), usual + 1, len(known) - usual))
    if p_value >= level:
        return None
    places = np.flatnonzero(window > limit)
    places = places[np.argsort(-window[places], kind="stable")]
    share, normal = above / len(served), usual / len(known)
    what = {
        "inputs": "The inputs of {} of the rows are unlike the training data",
        "images": "An autoencoder of the training images cannot redraw {} of the images",
        "answers": "The answers to {} of the rows are out of the ordinary",
        "latency": "{} of the requests were slow",
    }[kind].format(f"{share:.1%}")
    return Anomaly(
        kind=kind,
        share=share,
        usual_share=normal,
        p_value=p_value,
        rows=tuple(places[:20].tolist()),
        sentence=f"{what}, and {normal:.1%} are usual ({chance(p_value)}).",
    )


def more_errors(
    usual_errors: int, usual_requests: int, errors: int, requests: int, level: float
) -> Anomaly | None:
    """Return that requests fail more often than they used to, or None (Fisher's exact test)."""
    from scipy.stats import fisher_exact

    if min(usual_requests, requests) < FEWEST_ROWS:
        return None
    table = [[errors, requests - errors], [usual_errors, usual_requests - usual_errors]]
    p_value = float(fisher_exact(table, alternative="greater").pvalue)
    if p_value >= level:
        return None
    share, usual = errors / requests, usual_errors / usual_requests
    return Anomaly(
        kind="errors",
        share=share,
        usual_share=usual,
        p_value=p_value,
        rows=(),
        sentence=f"{share:.1%} of the requests failed, and {usual:.1%} used to "
        f"({chance(p_value)}).",
    )


def isolation_oddity(
    reference: NDArray[np.floating[Any]], window: NDArray[np.floating[Any]], seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how odd rows are by an isolation forest (Liu, Ting and Zhou 2008), 0 to 1.

    The forest learns from one half of the reference; the first result is the oddity of the other
    half, the second that of the window, NaN where a row is not finite.

    Args:
        reference: Finite values, shape ``(rows, ...)``.
        window: The same of the window.
        seed: Equal seeds give equal results.
    """
    from sklearn.ensemble import IsolationForest

    taught, asked, served = _halves(reference, window, seed)
    forest = IsolationForest(random_state=seed).fit(taught)
    return -forest.score_samples(asked), _where_finite(served, lambda x: -forest.score_samples(x))


def autoencoder_oddity(
    reference: NDArray[np.floating[Any]], window: NDArray[np.floating[Any]], seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how badly an autoencoder redraws images, in mean squared standard deviations.

    A network with a narrow layer in its middle (Hinton and Salakhutdinov 2006) is taught to give
    back what it is given: what it never saw it cannot. Pixels are standardised by the part it
    learns from. Results and arguments are as of ``isolation_oddity``.
    """
    from sklearn.neural_network import MLPRegressor

    taught, asked, served = _halves(reference, window, seed)
    middle, spread = taught.mean(axis=0), taught.std(axis=0)
    spread = np.where(spread > 0, spread, max(float(spread.max()), 1e-9))  # a pixel always dark
    narrow = max(2, min(_NARROWEST, taught.shape[1] // 4))
    network = MLPRegressor(
        hidden_layer_sizes=(4 * narrow, narrow, 4 * narrow),
        early_stopping=True,
        max_iter=100,
        random_state=seed,
    )

    def space(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.clip((rows - middle) / spread, -20, 20))

    def oddity(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        known = space(rows)
        return np.asarray(((network.predict(known).reshape(known.shape) - known) ** 2).mean(axis=1))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it might learn for longer
        network.fit(space(taught), space(taught))
    return oddity(asked), _where_finite(served, oddity)


def _halves(
    reference: NDArray[np.floating[Any]], window: NDArray[np.floating[Any]], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    flat = reference.reshape(len(reference), -1).astype(np.float64)
    flat = flat[np.random.default_rng(seed).permutation(len(flat))[: 2 * _MOST_ROWS]]
    taught, asked = np.array_split(flat, 2)
    return taught, asked, window.reshape(len(window), flat.shape[1]).astype(np.float64)


def _where_finite(rows: NDArray[np.float64], oddity: Any) -> NDArray[np.float64]:
    found = np.full(len(rows), np.nan)
    finite = np.isfinite(rows).all(axis=1)
    if finite.any():
        found[finite] = oddity(rows[finite])
    return found
