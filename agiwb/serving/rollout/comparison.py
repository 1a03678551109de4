"""How far a shadow's answers are from the champion's."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.runtimes.runtime import Tensors
from agiwb.serving.rollout.significance import t_quantile, wilson_interval

TOLERANCE = 0.1
"""Two numbers agree within this share of the larger."""
_BINARY_THRESHOLD = 0.5
_FEWEST_FOR_INTERVAL = 4


@dataclass(frozen=True, slots=True)
class Difference:
    """How two answers to one request differ.

    Attributes:
        rows: Rows compared.
        disagreeing: Rows with another top class; with a single number a row, those more than
            ``TOLERANCE`` apart; with texts or integers, those not equal.
        largest: Of the absolute differences.
        total: Sum of the absolute differences, and ``values`` their number.
        relative: Sum over the ``values`` of the difference over the larger magnitude.
    """

    rows: int
    disagreeing: int
    largest: float = 0.0
    total: float = 0.0
    relative: float = 0.0
    values: int = 0


def difference(champion: Tensors, shadow: Tensors, classes: tuple[str, ...] = ()) -> Difference:
    """Return how two answers to the same inputs differ.

    A row disagrees if any output does. With ``classes`` a single number a row is the probability
    of the second class. A value that only one of the two has finite differs, and is in no mean.
    An answer without an output of the champion, or with one of another shape, disagrees in all.

    Args:
        champion: By name, the first dimension being the rows.
        shadow: Likewise.
        classes: The model's classes, if it has any.
    """
    rows = max((a.shape[0] for a in champion.values() if a.ndim), default=1)
    apart = np.zeros(rows, bool)
    largest, total, relative, values = 0.0, 0.0, 0.0, 0
    for name, expected in champion.items():
        given = shadow.get(name)
        if (
            given is None
            or given.shape != expected.shape
            or expected.shape[:1] not in {(), (rows,)}
        ):
            apart[:] = True
            continue
        if expected.size == 0:
            continue
        a, b = expected.reshape(rows, -1), given.reshape(rows, -1)
        apart |= _apart(a, b, classes)
        if expected.dtype.kind == "f" and given.dtype.kind == "f":
            gap, share = _gaps(a, b)
            largest = max(largest, float(gap.max(initial=0.0)))
            total, relative = total + float(gap.sum()), relative + float(share.sum())
            values += gap.size
    return Difference(rows, int(apart.sum()), largest, total, relative, values)


def _apart(a: NDArray[Any], b: NDArray[Any], classes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return the rows of two matrices that disagree."""
    if a.dtype.kind != "f" or b.dtype.kind != "f":
        return np.asarray((a != b).any(axis=1), np.bool_).reshape(-1)
    uneven = (np.isfinite(a) != np.isfinite(b)).any(axis=1)
    if a.shape[1] > 1:
        return np.asarray((a.argmax(axis=1) != b.argmax(axis=1)) | uneven)
    if classes:
        return np.asarray(((a[:, 0] > _BINARY_THRESHOLD) != (b[:, 0] > _BINARY_THRESHOLD)) | uneven)
    return np.asarray((_relative(a, b)[:, 0] > TOLERANCE) | uneven)


def _gaps(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return absolute and relative differences where both are finite."""
    finite = np.isfinite(a) & np.isfinite(b)
    x, y = a[finite].astype(np.float64), b[finite].astype(np.float64)
    return np.abs(x - y), _relative(x, y)


def _relative(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Return differences over the larger magnitude; 0 where both are 0 or not finite."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.abs(x - y) / np.maximum(np.abs(x), np.abs(y)), posinf=0.0)


class Comparison:
    """The running comparison of one shadow version with the champion. Thread-safe.

    Attributes:
        version: The shadow's.
    """

    def __init__(self, version: int, window: int = 1000) -> None:
        self.version = version
        self._lock = threading.Lock()
        self._recent: deque[tuple[int, int]] = deque(maxlen=window)
        self._compared = self._failed = self._rows = self._disagreeing = self._values = 0
        self._total = self._relative = self._largest = 0.0
        self._ratios, self._mean, self._squares = 0, 0.0, 0.0
        self._last_failure = ""

    def add(self, found: Difference, champion_s: float, shadow_s: float) -> None:
        """Count one compared request; times in seconds."""
        with self._lock:
            self._compared += 1
            self._count(found.rows, found.disagreeing)
            self._largest = max(self._largest, found.largest)
            self._total += found.total
            self._relative += found.relative
            self._values += found.values
            if champion_s > 0 and shadow_s > 0:  # Welford (1962)
                ratio = math.log(shadow_s / champion_s)
                self._ratios += 1
                step = ratio - self._mean
                self._mean += step / self._ratios
                self._squares += step * (ratio - self._mean)

    def add_failure(self, rows: int, error: BaseException) -> None:
        """Count a request that the shadow failed on: it agrees in no row."""
        with self._lock:
            self._failed += 1
            self._last_failure = f"{type(error).__name__}: {error}"[:300]
            self._count(rows, rows)

    def _count(self, rows: int, disagreeing: int) -> None:
        self._rows += rows
        self._disagreeing += disagreeing
        self._recent.append((rows, disagreeing))

    @property
    def requests(self) -> int:
        """Requests that the shadow was asked."""
        return self._compared + self._failed

    def recent(self) -> tuple[int, int]:
        """Return rows and disagreeing rows of the newest requests."""
        with self._lock:
            recent = list(self._recent)
        return sum(rows for rows, _ in recent), sum(apart for _, apart in recent)

    def describe(self) -> dict[str, Any]:
        """Return the comparison as JSON can say it; None where nothing is known yet.

        The intervals are of 95 %: of the disagreement Wilson's, which takes rows as independent;
        of the latency ratio that of the geometric mean of shadow over champion, exp(mean +- t s /
        sqrt(n)) of the log ratios of each request (a paired t interval; Bland and Altman 1996).
        """
        with self._lock:
            interval = wilson_interval(self._disagreeing, self._rows)
            known = self._values > 0
            return {
                "version": self.version,
                "requests_compared": self._compared,
                "requests_failed": self._failed,
                "last_failure": self._last_failure or None,
                "rows_compared": self._rows,
                "rows_disagreeing": self._disagreeing,
                "disagreement": self._disagreeing / self._rows if self._rows else None,
                "disagreement_interval": list(interval),
                "max_absolute_difference": self._largest if known else None,
                "mean_absolute_difference": self._total / self._values if known else None,
                "mean_relative_difference": self._relative / self._values if known else None,
                "latency_ratio": math.exp(self._mean) if self._ratios else None,
                "latency_ratio_interval": self._ratio_interval(),
            }

    def _ratio_interval(self) -> list[float] | None:
        if self._ratios < _FEWEST_FOR_INTERVAL:
            return None
        deviation = math.sqrt(self._squares / (self._ratios - 1))
        half = t_quantile(self._ratios - 1) * deviation / math.sqrt(self._ratios)
        return [math.exp(self._mean - half), math.exp(self._mean + half)]
