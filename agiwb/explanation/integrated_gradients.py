"""Integrated gradients: the gradient along the straight path from a baseline to the example.

Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (ICML 2017), equation 1:
feature i of x gets (x_i - x'_i) times the integral of dF/dx_i over the path from x' to x. By their
axiom of completeness the attributions sum to F(x) - F(x'); how nearly they do measures the
quadrature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.source import Progress, say_nothing
from agiwb.explanation.attribution import Attribution, completeness_gaps

PathFunction = Callable[
    [NDArray[np.float32], NDArray[np.intp]], tuple[NDArray[np.float32], NDArray[np.float32]]
]
"""F for points ``(rows, *shape)``, each on the path of the example with that index: its values
``(rows,)``, and its gradients at the points, ``(rows, *shape)``."""

_MOST_ROWS = 256
_MOST_NUMBERS = 4_000_000


def integrate(
    function: PathFunction,
    inputs: NDArray[np.float32],
    baselines: NDArray[np.float32],
    *,
    tolerance: float = 0.01,
    steps: int = 32,
    max_steps: int = 1024,
    report: Progress = say_nothing,
) -> Attribution:
    """Return the integrated gradients of each example, with as many steps as it needs.

    The integral is a Gauss-Legendre sum. The steps of an example are doubled until its
    completeness gap is within ``tolerance``; of those that never are, the nearest is kept.

    Args:
        function: The answer that is explained.
        inputs: The examples, ``(examples, *shape)``.
        baselines: Where their paths begin, of the same shape or one for all.
        tolerance: Largest relative gap, see ``completeness_gaps``.
        steps: Points on a path to begin with.
        max_steps: Most points on a path.
        report: Told of a phase, how much of it is done, and how much there is.
    """
    starts = np.broadcast_to(baselines, inputs.shape)
    everyone = np.arange(len(inputs))
    answers, references = (_values(function, points, everyone) for points in (inputs, starts))
    kept = np.zeros(inputs.shape, np.float64)
    gaps, used = np.full(len(inputs), np.inf), np.zeros(len(inputs), np.int64)
    pending = everyone
    while len(pending):
        values = _sum_over_paths(function, inputs, starts, pending, steps, report)
        candidate = kept.copy()
        candidate[pending] = values
        found = completeness_gaps(candidate, answers - references)
        better = pending[found[pending] < gaps[pending]]
        kept[better], gaps[better], used[better] = candidate[better], found[better], steps
        pending = pending[gaps[pending] > tolerance]
        if steps >= max_steps:
            break
        steps = min(2 * steps, max_steps)
    return Attribution(kept, answers, references, used)


def _sum_over_paths(
    function: PathFunction,
    inputs: NDArray[np.float32],
    starts: NDArray[np.float32],
    examples: NDArray[np.intp],
    steps: int,
    report: Progress,
) -> NDArray[np.float64]:
    """Return the attributions of ``examples`` with ``steps`` points each."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    shares, weights = (nodes + 1) / 2, weights / 2  # from -1..1 to 0..1
    shape = (-1, *[1] * (inputs.ndim - 1))
    differences = inputs[examples].astype(np.float64) - starts[examples]
    totals = np.zeros_like(differences)
    count = len(examples) * steps
    for begin in range(0, count, size := _rows_at_once(inputs)):
        which, step = np.divmod(np.arange(begin, min(begin + size, count)), steps)
        points = starts[examples[which]] + shares[step].reshape(shape) * differences[which]
        _, gradients = function(points.astype(np.float32), examples[which])
        np.add.at(totals, which, weights[step].reshape(shape) * gradients)
        report(f"integrating over {steps} steps", min(begin + size, count), count)
    return differences * totals


def _values(
    function: PathFunction, points: NDArray[np.float32], examples: NDArray[np.intp]
) -> NDArray[np.float64]:
    size = _rows_at_once(points)
    parts = [
        function(np.asarray(points[begin : begin + size]), examples[begin : begin + size])[0]
        for begin in range(0, len(points), size)
    ]
    return np.concatenate(parts).astype(np.float64)


def _rows_at_once(points: NDArray[Any]) -> int:
    return max(1, min(_MOST_ROWS, _MOST_NUMBERS // max(1, int(points[0].size))))
