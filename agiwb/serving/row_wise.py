"""Which of a model's signatures answer each row of a batch independently of the others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import SIGNATURE_NAME, Signature, TensorSpec
from agiwb.errors import AgiwbError
from agiwb.runtimes.runtime import Tensors
from agiwb.runtimes.served_signature import PREDICT_METHOD
from agiwb.serving.servables.servable import Servable

_TRIED_ROWS = 3
_FREE_SIZES = (1, 32)
_TOLERANCE = 1e-3


class Prepared:
    """A servable, and what must be known of it before its requests are merged; see Servable.

    Attributes:
        row_wise: Names of the signatures whose rows are answered independently of each other.
    """

    def __init__(self, servable: Servable) -> None:
        self.signatures = servable.signatures
        self.run_time = servable.run_time
        self.inline = servable.inline
        self.row_wise = find_row_wise(servable)
        self._servable = servable
        self._input_names = {
            name: {spec.name for spec in served.signature.inputs}
            for name, served in servable.signatures.items()
        }
        self._sizes = {
            (name, spec.name): spec.shape[1:]
            for name, served in servable.signatures.items()
            for spec in served.signature.inputs
        }

    def input_names(self, signature_name: str) -> set[str]:
        """Return the names that a request of a signature must have."""
        return self._input_names[signature_name]

    def fixed_sizes(
        self, signature_name: str, input_name: str, shape: tuple[int, ...]
    ) -> tuple[int | None, ...]:
        """Return ``shape`` without its rows, and None for each size that the model leaves free.

        Only these may be padded: a size that the model fixes, and a request has wrong, stays wrong.
        """
        sizes = self._sizes[signature_name, input_name]
        if len(sizes) != len(shape) - 1:
            return shape[1:]
        pairs = zip(sizes, shape[1:], strict=True)
        return tuple(None if size is None else given for size, given in pairs)

    def run(
        self,
        inputs: Tensors,
        signature_name: str = SIGNATURE_NAME,
        outputs: Sequence[str] = (),
    ) -> Tensors:
        return self._servable.run(inputs, signature_name, outputs)

    def close(self) -> None:
        self._servable.close()


def may_merge(servable: Servable, signature_name: str, inputs: Tensors) -> bool:
    """Return whether a request may share a batch with others, and is itself well formed."""
    if not isinstance(servable, Prepared) or signature_name not in servable.row_wise:
        return False
    if inputs.keys() != servable.input_names(signature_name):
        return False
    sizes = {array.shape[:1] for array in inputs.values()}
    return len(sizes) == 1 and () not in sizes


def merge_key(
    servable: Servable,
    signature_name: str,
    inputs: Tensors,
    outputs: Sequence[str],
    *,
    evens_out: bool = False,
) -> Hashable:
    """Return what requests that may share a batch have in common.

    Args:
        servable: Who answers.
        signature_name: Of its signatures.
        inputs: By name; they ``may_merge``.
        outputs: Names of the outputs wanted.
        evens_out: Whether the batcher pads sizes that the model leaves free; else all but the rows
            must agree.
    """
    if evens_out and isinstance(servable, Prepared):
        shapes = tuple(
            (name, servable.fixed_sizes(signature_name, name, array.shape), array.dtype)
            for name, array in inputs.items()
        )
    else:
        shapes = tuple((name, array.shape[1:], array.dtype) for name, array in inputs.items())
    return id(servable), signature_name, tuple(outputs), shapes


def find_row_wise(servable: Servable) -> frozenset[str]:
    """Return the names of the signatures whose rows are answered independently of each other.

    Only their requests may be merged. A signature qualifies if every input and output has a free
    first dimension, and a batch of three different rows is answered as the three rows are alone,
    within 1e-3 of the largest value. It is tried, because a graph that normalises over its batch
    has the same signature as one that does not. What needs chance or memory for its answers does
    not qualify either.
    """
    return frozenset(
        name
        for name, served in servable.signatures.items()
        if served.method == PREDICT_METHOD
        and all(_is_free(spec) for spec in (*served.signature.inputs, *served.signature.outputs))
        and _answers_rows_alone(servable, name, served.signature)
    )


def _answers_rows_alone(servable: Servable, name: str, signature: Signature) -> bool:
    # Where a size is free, 1 may be too small, such as for the window of a convolution.
    for free_size in _FREE_SIZES:
        try:
            return _are_same(servable, name, _different_rows(signature, free_size))
        except AgiwbError:  # the model refuses made-up values
            continue
    return False  # nothing is known of it


def _is_free(spec: TensorSpec) -> bool:
    return bool(spec.shape) and spec.shape[0] is None


def _are_same(servable: Servable, name: str, batch: Tensors) -> bool:
    together = servable.run(batch, name)
    alone = [
        servable.run({key: array[row : row + 1] for key, array in batch.items()}, name)
        for row in range(_TRIED_ROWS)
    ]
    return all(
        array.shape[:1] == (_TRIED_ROWS,)
        and all(_is_same(array[row : row + 1], alone[row][key]) for row in range(_TRIED_ROWS))
        for key, array in together.items()
    )


def _is_same(together: NDArray[Any], alone: NDArray[Any]) -> bool:
    if together.shape != alone.shape:
        return False
    if together.dtype.kind != "f":
        return bool((together == alone).all())
    # Probabilities of a thousand classes are a thousandth each: what is close enough depends on
    # how large the values are.
    largest = np.abs(alone, where=np.isfinite(alone), out=np.zeros_like(alone)).max(initial=0)
    return np.allclose(together, alone, rtol=0, atol=_TOLERANCE * largest, equal_nan=True)


def _different_rows(signature: Signature, free_size: int) -> Tensors:
    """Return a batch whose rows differ; the mean over equal ones would be each of them."""
    random = np.random.default_rng(0)
    batch = {}
    for spec in signature.inputs:
        shape = (_TRIED_ROWS, *(free_size if size is None else size for size in spec.shape[1:]))
        kind = np.dtype(spec.dtype)
        if spec.dtype == "object":
            rows = np.array([*"aba"], object)
        elif kind.kind == "f":
            batch[spec.name] = random.normal(size=shape).astype(kind)
            continue
        elif kind.kind in "iu" and kind.itemsize == 1:  # the values of a picture
            rows = np.array([0, 127, 63])
        else:  # 0 and 1 are indices that any table has
            rows = np.array([0, 1, 0])
        batch[spec.name] = np.broadcast_to(rows.reshape(-1, *[1] * (len(shape) - 1)), shape).astype(
            kind
        )
    return batch
