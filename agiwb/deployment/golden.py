"""Golden requests: real samples, and what the bundled files themselves answer to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.deployment.versions import BundledVersion
from agiwb.runtimes.asking import batches_for
from agiwb.runtimes.runtime import Tensors, open_runtime


def golden_requests(
    model: str,
    versions: Sequence[BundledVersion],
    samples: NDArray[Any],
    tolerance: float,
) -> dict[str, Any]:
    """Return what ``smoke_test.py`` asks, with the answers of each version's files.

    Args:
        model: Name the model is served under.
        versions: Each with one input, which the samples fit.
        samples: Raw inputs ``(samples, *feature_shape)``.
        tolerance: Largest absolute difference that another machine's arithmetic may make.

    Raises:
        InputError: The samples do not fit a version.
    """
    requests = []
    for version in versions:
        runtime = open_runtime(version.path)
        (taken,) = runtime.signature.inputs
        typed = samples.astype(taken.dtype, copy=False)
        for batch, _ in batches_for(runtime.signature, {taken.name: typed}):
            requests.append(
                {
                    "version": version.number,
                    "instances": batch[taken.name].tolist(),
                    "predictions": _rows(runtime.run(batch)),
                }
            )
    return {"model": model, "tolerance": tolerance, "requests": requests}


def _rows(outputs: Tensors) -> list[Any]:
    """Return TensorFlow Serving's row format: a bare value for one output, else an object."""
    arrays = {name: np.asarray(array).tolist() for name, array in outputs.items()}
    if len(arrays) == 1:
        (rows,) = arrays.values()
        return list(rows)
    return [dict(zip(arrays, row, strict=True)) for row in zip(*arrays.values(), strict=True)]
