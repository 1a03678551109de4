"""Asking a runtime about more examples than one batch should hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agiwb.runtimes.runtime import Runtime


def answer_all(
    runtime: Runtime, features: NDArray[np.float32], batch_size: int = 256
) -> NDArray[np.float32]:
    """Return the model's first output for all ``features``, given in batches to its first input.

    Args:
        runtime: A model with one input.
        features: Examples, ``(examples, *feature_shape)``; there may be none.
        batch_size: Most examples in one batch.

    Returns:
        float32 ``(examples, *output_shape)``, in the examples' order.

    Raises:
        InputError: The examples do not fit the model.
    """
    taken, given = runtime.signature.inputs[0].name, runtime.signature.outputs[0].name
    # Asked about no examples, the runtime still tells the shape of its answers.
    starts = range(0, max(len(features), 1), batch_size)
    batches = [
        runtime.run({taken: features[start : start + batch_size]})[given] for start in starts
    ]
    return np.concatenate(batches).astype(np.float32, copy=False)
