"""What a reader takes out of a file, before any of it is summed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.manifest import QuantizedTensor
from agiwb.artifacts.signature import Signature
from agiwb.inspection.inspection import GraphNode


@dataclass(frozen=True)
class Weight:
    """One stored tensor; ``values`` are the numbers as stored, None where they are not read.

    ``dtype`` is the file's name for what is stored, which NumPy may lack (``int4``); ``layer`` and
    ``operator`` say whose weight it is.
    """

    name: str
    layer: str
    operator: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    values: NDArray[Any] | None
    quantization: QuantizedTensor | None = None

    def real(self) -> NDArray[np.float64] | None:
        """Return the real values that the stored ones stand for; None where there are none."""
        values = self.values
        if values is None or not values.size or not _is_number(values):
            return None
        real = values.astype(np.float64)
        if self.quantization is None or not self.quantization.scales:
            return real
        scales = np.asarray(self.quantization.scales, np.float64)
        zeros = np.asarray(self.quantization.zero_points or [0], np.float64)
        if len(scales) > 1 or len(zeros) > 1:
            along = [1] * real.ndim
            along[self.quantization.axis or 0] = -1
            scales, zeros = scales.reshape(along), zeros.reshape(along)
        dequantised: NDArray[np.float64] = (real - zeros) * scales
        return dequantised


@dataclass(frozen=True)
class Contents:
    """All that a file holds; see Inspection for what the fields mean."""

    signature: Signature
    nodes: list[GraphNode]
    weights: list[Weight]
    operators: Mapping[str, int]
    custom_operators: tuple[str, ...] = ()
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """An operator of a graph whose edges are named tensors."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def linked(operations: Iterable[Operation]) -> list[GraphNode]:
    """Return the operations as nodes that name each other rather than tensors."""
    listed = list(operations)
    makers = {tensor: one.name for one in listed for tensor in one.outputs if tensor}
    return [
        GraphNode(
            name=one.name,
            operator=one.operator,
            inputs=tuple(dict.fromkeys(makers[name] for name in one.inputs if name in makers)),
        )
        for one in listed
    ]


def counted(operators: Iterable[str]) -> dict[str, int]:
    """Return how often each occurs, the most frequent first."""
    return dict(sorted(Counter(operators).items(), key=lambda pair: (-pair[1], pair[0])))


def _is_number(values: NDArray[Any]) -> bool:
    """Return whether there are numbers, also of a dtype that is not NumPy's own (bfloat16)."""
    if values.dtype.kind == "V":
        return values.dtype.names is None and not values.dtype.name.startswith("void")
    return values.dtype.kind not in "OSU"
