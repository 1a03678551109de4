"""Kernels as products of two factors, and the pairs of layers that compute them.

A Dense kernel is a matrix. That of a convolution becomes one by putting together all axes but the
outputs (``channel``: a convolution with fewer filters, then one of 1 x 1; Zhang et al. 2015,
arXiv:1505.06798, section 3.1, without the activations), or height with inputs and width with
outputs (``spatial``: a column convolution, then a row one; Jaderberg et al. 2014, arXiv:1405.3866,
scheme 2). The singular value decomposition, cut off, is the nearest matrix of its rank (Eckart &
Young 1936).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.techniques.codebook import found_codebook
from agiwb.compression.techniques.layer_graph import Copies, all_layers, copy_calls

if TYPE_CHECKING:
    import keras

Decomposition = Literal["channel", "spatial"]

Shape = tuple[int, int]

Choose = Callable[[NDArray[np.float64], Shape], int | None]
"""Given the singular values, largest first, and the matrix's shape, the rank; None for no factors.
"""

_FACTORISED = frozenset({"Dense", "Conv1D", "Conv2D", "Conv3D"})

_ROUNDING = 1e-9
"""Of a share: the sum of all squares is never quite their sum."""


def ranks(
    singular: NDArray[np.float64], shape: Shape, *, percent: int, energy: float | None
) -> int:
    """Return the rank, 1 or more, that a share of energy or of the parameters allows.

    Args:
        singular: All singular values, the largest first.
        shape: Of the matrix.
        percent: Of the matrix's parameters that both factors may have together, if ``energy`` is
            None.
        energy: Share of the sum of squared singular values to reach, 0 to 1.
    """
    if energy is None:
        affordable = math.floor(percent / 100 * shape[0] * shape[1] / sum(shape))
        return max(1, min(affordable, len(singular)))
    squares = np.cumsum(singular**2)
    return int(np.searchsorted(squares, (energy - _ROUNDING) * squares[-1])) + 1


def factorised(
    model: keras.Model, decomposition: Decomposition, choose: Choose
) -> tuple[keras.Model, dict[str, str]]:
    """Return a functional copy of ``model`` with pairs of layers where ``choose`` gives a rank.

    The first of a pair is linear and has no bias; the second has the layer's bias and activation.
    The layer's regularisers and constraints speak of its kernel and do not pass to the factors.

    Returns:
        The copy, uncompiled, and by name the layers with matrices that were left, with the reason.
    """
    copies, left = Copies(), {}
    factors: dict[int, tuple[NDArray[Any], NDArray[Any]]] = {}
    for layer in all_layers(model):
        if any(len(weight.shape) > 1 for weight in layer.weights):
            made = _reason_to_leave(layer) or _factors(layer, decomposition, choose)
            if isinstance(made, str):
                left[layer.name] = made
            else:
                factors[id(layer)] = made

    def pair(layer: Any) -> tuple[Any, Any]:
        first, second = factors[id(layer)]
        shapes = first.shape[:-2], second.shape[:-2]
        one, two = _pair_changes(layer, first.shape[-1], *shapes)
        return copies.of(layer, "in", **one), copies.of(layer, "out", **two)

    def call(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if id(layer) not in factors:
            return copies.of(layer)(*args, **kwargs)
        inner, outer = pair(layer)
        return outer(inner(*args, **kwargs))

    copy = copy_calls(model, call)
    for layer in all_layers(model):
        if id(layer) in factors:
            inner, outer = pair(layer)
            first, second = factors[id(layer)]
            inner.set_weights([first])
            outer.set_weights([second, *layer.get_weights()[1:]])
        elif layer.weights:
            copies.of(layer).set_weights(layer.get_weights())
    return copy, left


def _reason_to_leave(layer: Any) -> str:
    kind = type(layer).__name__
    if kind not in _FACTORISED:
        return f"a {kind} has no kernel that is factorised"
    kernel = layer.get_weights()[0]
    if getattr(layer, "groups", 1) != 1:
        return "its channels are in groups"
    if not kernel.all():
        return "its kernel has zeros, which factors would lose"
    if found_codebook(kernel, (-1,)) is not None:
        return "its kernel has few distinct values, which factors would lose"
    return ""


def _factors(
    layer: Any, decomposition: Decomposition, choose: Choose
) -> tuple[NDArray[Any], NDArray[Any]] | str:
    """Return the kernels of the two layers for ``layer``, or why there are none."""
    kernel = layer.get_weights()[0]
    spatial = decomposition == "spatial" and kernel.ndim == 4 and min(kernel.shape[:2]) > 1
    if spatial:
        height, width, inputs, outputs = kernel.shape
        matrix = kernel.transpose(0, 2, 1, 3).reshape(height * inputs, width * outputs)
    else:
        matrix = kernel.reshape(-1, kernel.shape[-1])
    left, singular, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    rank = choose(singular, matrix.shape)
    if rank is None:
        return "its factors would save too few parameters"
    root = np.sqrt(singular[:rank])  # in both halves, so that their scales are alike
    first, second = left[:, :rank] * root, root[:, np.newaxis] * right[:rank]
    if spatial:
        row = second.reshape(rank, 1, width, outputs).transpose(1, 2, 0, 3)
        return first.reshape(height, 1, inputs, rank), row
    ones = (1,) * (kernel.ndim - 2)
    return first.reshape(*kernel.shape[:-1], rank), second.reshape(*ones, rank, kernel.shape[-1])


def _pair_changes(
    layer: Any, rank: int, first: tuple[int, ...], second: tuple[int, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what differs from the config of ``layer`` in the first layer and in the second.

    Args:
        layer: Dense or a convolution.
        rank: Units of the first layer.
        first: Spatial shape of the first kernel, ``()`` for Dense.
        second: Spatial shape of the second.
    """
    free = {"kernel_regularizer": None, "kernel_constraint": None}
    one = free | {
        "activation": "linear",
        "use_bias": False,
        "bias_regularizer": None,
        "bias_constraint": None,
        "activity_regularizer": None,
    }
    if not first:
        return {**one, "units": rank}, dict(free)
    # Where one kernel has a single place along an axis, the other does the steps along it.
    moves_first = [size > 1 or other == 1 for size, other in zip(first, second, strict=True)]
    return (
        {**one, "filters": rank} | _movement(layer, first, moves_first),
        free | _movement(layer, second, [not moves for moves in moves_first]),
    )


def _movement(layer: Any, kernel_size: tuple[int, ...], moves: list[bool]) -> dict[str, Any]:
    """Return how a convolution steps along the axes on which it ``moves`` as ``layer`` does."""

    def along(steps: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(step if moving else 1 for step, moving in zip(steps, moves, strict=True))

    return {
        "kernel_size": kernel_size,
        "strides": along(layer.strides),
        "dilation_rate": along(layer.dilation_rate),
    }
