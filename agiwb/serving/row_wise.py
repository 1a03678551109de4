"""Which of a model's signatures answer each row of a batch independently of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import SIGNATURE_NAME, Signature, TensorSpec
from agiwb.errors import AgiwbError
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.servables.servable import PREDICT_METHOD, Servable

_TRIED_ROWS = 3
_TOLERANCE = 1e-3


class Prepared:
    """A servable, and what must be known of it before its requests are merged; see Servable.

    Attributes:
        row_wise: Names of the signatures whose rows are answered independently of each other.
    """

    def __init__(self, servable: Servable) -> None:
        self.signatures = servable.signatures
        self.seconds_per_row = servable.seconds_per_row
        self.inline = servable.inline
        self.row_wise = find_row_wise(servable)
        self._servable = servable
        self._input_names = {
            name: {spec.name for spec in served.signature.inputs}
            for name, served in servable.signatures.items()
        }

    def input_names(self, signature_name: str) -> set[str]:
        """Return the names that a request of a signature must have."""
        return self._input_names[signature_name]

    def run(
        self,
        inputs: Tensors,
        signature_name: str = SIGNATURE_NAME,
        outputs: Sequence[str] = (),
    ) -> Tensors:
        return self._servable.run(inputs, signature_name, outputs)

    def close(self) -> None:
        self._servable.close()


def find_row_wise(servable: Servable) -> frozenset[str]:
    """Return the names of the signatures whose rows are answered independently of each other.

    Only their requests may be merged. A signature qualifies if every input and output has a free
    first dimension, and a batch of three random rows is answered as the three rows are alone,
    within a relative 1e-3. It is tried, because a graph that normalises over its batch has the same
    signature as one that does not.
    """
    return frozenset(
        name
        for name, served in servable.signatures.items()
        if served.method == PREDICT_METHOD
        and all(_is_free(spec) for spec in (*served.signature.inputs, *served.signature.outputs))
        and _answers_rows_alone(servable, name, served.signature)
    )


def _is_free(spec: TensorSpec) -> bool:
    return bool(spec.shape) and spec.shape[0] is None


def _answers_rows_alone(servable: Servable, name: str, signature: Signature) -> bool:
    batch = _random_rows(signature)
    try:
        together = servable.run(batch, name)
        alone = [
            servable.run({key: array[row : row + 1] for key, array in batch.items()}, name)
            for row in range(_TRIED_ROWS)
        ]
    except AgiwbError:  # the model refuses made-up values; nothing is known of it
        return False
    return all(
        _is_same(array, np.concatenate([answer[key] for answer in alone]))
        for key, array in together.items()
    )


def _is_same(together: NDArray[Any], alone: NDArray[Any]) -> bool:
    if together.shape != alone.shape:
        return False
    if together.dtype.kind != "f":
        return bool((together == alone).all())
    return np.allclose(together, alone, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)


def _random_rows(signature: Signature) -> Tensors:
    random = np.random.default_rng(0)
    batch = {}
    for spec in signature.inputs:
        shape = (_TRIED_ROWS, *(1 if size is None else size for size in spec.shape[1:]))
        if spec.dtype == "object":
            batch[spec.name] = np.full(shape, "a", object)
        elif np.dtype(spec.dtype).kind == "f":
            batch[spec.name] = random.normal(size=shape).astype(spec.dtype)
        else:  # 0 and 1 are indices that any table has
            batch[spec.name] = random.integers(0, 2, shape).astype(spec.dtype)
    return batch
