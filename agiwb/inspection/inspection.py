"""What an inspection finds: typed, as numbers and names only."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from agiwb.artifacts.manifest import Format, QuantizedTensor
from agiwb.artifacts.signature import Signature


class GraphNode(BaseModel):
    """One operator, or one layer; ``inputs`` names the nodes whose results it takes."""

    model_config = ConfigDict(frozen=True)

    name: str
    operator: str
    inputs: tuple[str, ...] = ()


class Spread(BaseModel):
    """How the values of a tensor spread; quantised ones as the real values that they stand for.

    Attributes:
        zeros: How many are exactly zero.
        distinct: How many different ones there are; None where too many were there to count.
        histogram: How many lie in each of equal bins from ``minimum`` to ``maximum``.
        not_finite: How many are NaN or infinite; they are in none of the other figures.
    """

    model_config = ConfigDict(frozen=True)

    zeros: int
    distinct: int | None
    minimum: float
    maximum: float
    mean: float
    deviation: float
    histogram: tuple[int, ...]
    not_finite: int = 0


class TensorSummary(BaseModel):
    """One stored tensor: of which layer, how large, and how its values spread.

    ``spread`` is None for what has no numbers to tell of: text, nothing, or a sparse encoding.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    layer: str
    dtype: str
    shape: tuple[int, ...]
    parameters: int
    size_bytes: int
    quantization: QuantizedTensor | None = None
    spread: Spread | None = None


class LayerSummary(BaseModel):
    """All tensors of one layer, or of the operator that reads them."""

    model_config = ConfigDict(frozen=True)

    name: str
    operator: str
    parameters: int
    size_bytes: int
    sparsity: float | None
    """Share of the numbers that are exactly zero; None if the layer has none."""
    dtypes: tuple[str, ...]


class Inspection(BaseModel):
    """A model's file, as far as its bytes tell.

    Attributes:
        path: What was inspected.
        format: Of the file.
        size_bytes: Of all its files.
        sha256: Of the file, or of the folder's files with their names.
        signature: Names, dtypes and shapes; those of outputs are missing where only running the
            model's code would tell (Keras).
        operators: How often each operator occurs, or each layer's class.
        custom_operators: Those that the format itself does not define.
        layers: What has weights.
        tensors: The weights.
        nodes: The graph, in the file's order.
        details: What else the file says: versions, producers.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    format: Format
    size_bytes: int
    sha256: str
    signature: Signature
    operators: dict[str, int]
    custom_operators: tuple[str, ...]
    layers: tuple[LayerSummary, ...]
    tensors: tuple[TensorSummary, ...]
    nodes: tuple[GraphNode, ...]
    details: dict[str, str]

    @property
    def parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(tensor.parameters for tensor in self.tensors)

    @property
    def bytes_by_dtype(self) -> dict[str, int]:
        """How many bytes of the weights are stored in each dtype."""
        found: dict[str, int] = {}
        for tensor in self.tensors:
            found[tensor.dtype] = found.get(tensor.dtype, 0) + tensor.size_bytes
        return found

    @property
    def sparsity(self) -> float | None:
        """Share of all weights that are exactly zero; None if there are none."""
        return sparsity_of(self.tensors)


def sparsity_of(tensors: tuple[TensorSummary, ...] | list[TensorSummary]) -> float | None:
    """Return the share of the tensors' numbers that are exactly zero; None without numbers."""
    counted = [tensor for tensor in tensors if tensor.spread is not None]
    total = sum(tensor.parameters for tensor in counted)
    zeros = sum(tensor.spread.zeros for tensor in counted if tensor.spread is not None)
    return zeros / total if total else None
