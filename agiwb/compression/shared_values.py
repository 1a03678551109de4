"""Kernels of few distinct values: finding them, and training them without parting the values.

Weights that share a value have one gradient, the mean of theirs, as the centroids of Han et al.
2015 (arXiv:1510.00149, section 3.3) have one, the sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_VALUES = 256
"""As many as an index of one byte can tell apart; a kernel of more shares nothing."""

_LEAST_SHARERS = 1.25
"""Weights that a value has on average, below which equal weights may be a coincidence."""


def value_groups(kernel: NDArray[Any]) -> NDArray[np.int32] | None:
    """Return for each weight the number of its group, int32 ``(kernel.size,)``, in C order.

    A group is the weights of one value: of the whole kernel if it has few values, else of one of
    its output channels, the last axis, if each has few. None if there are too many values for
    them to be shared ones. Zeros have no part in that: they are what pruning leaves.
    """
    values, groups = np.unique(kernel.ravel(), return_inverse=True)
    if _are_shared(kernel.ravel(), values):
        return groups.astype(np.int32).ravel()
    channels = kernel.reshape(-1, kernel.shape[-1]).T
    found = [np.unique(channel, return_inverse=True) for channel in channels]
    if not all(_are_shared(channel, found[n][0]) for n, channel in enumerate(channels)):
        return None
    firsts = np.cumsum([0, *(len(values) for values, _ in found[:-1])])
    per_channel = [first + groups.ravel() for first, (_, groups) in zip(firsts, found, strict=True)]
    return np.stack(per_channel, axis=-1).astype(np.int32).ravel()


def _are_shared(weights: NDArray[Any], values: NDArray[Any]) -> bool:
    """Return whether ``values``, the distinct ones of ``weights``, are few; also if all are 0."""
    most = min(MOST_VALUES, np.count_nonzero(weights) / _LEAST_SHARERS)
    return int(np.count_nonzero(values)) <= most


def joined(kernel: Any, mask: Any, groups: NDArray[np.int32]) -> Any:
    """Return ``kernel`` with the mean of its group for each weight, 0 where ``mask`` is.

    Args:
        kernel: Float tensor of any shape.
        mask: 0 or 1 for each weight, of the kernel's shape; those with 0 have no say in the mean.
        groups: Of ``value_groups``.
    """
    from keras import ops

    count = int(groups.max()) + 1
    chosen = ops.reshape(mask, (-1,))
    sums = ops.segment_sum(ops.reshape(kernel, (-1,)) * chosen, groups, num_segments=count)
    sizes = ops.segment_sum(chosen, groups, num_segments=count)
    means = ops.take(sums / ops.maximum(sizes, 1), groups)
    return ops.reshape(means, kernel.shape) * mask
