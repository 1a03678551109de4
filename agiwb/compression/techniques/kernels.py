"""The large weights of each kind of layer, and which of their axes are output channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

_DENSE = (("kernel", (-1,)),)
_DEPTHWISE = (("kernel", (-2, -1)),)
_SEPARABLE = (("depthwise_kernel", (-2, -1)), ("pointwise_kernel", (-1,)))
_TRANSPOSED = (("kernel", (-2,)),)
_RECURRENT = (("kernel", (-1,)), ("recurrent_kernel", (-1,)))

KERNELS: dict[str, tuple[tuple[str, tuple[int, ...]], ...]] = {
    "Dense": _DENSE,
    "EinsumDense": (("kernel", ()),),
    "Conv1D": _DENSE,
    "Conv2D": _DENSE,
    "Conv3D": _DENSE,
    "DepthwiseConv1D": _DEPTHWISE,
    "DepthwiseConv2D": _DEPTHWISE,
    "SeparableConv1D": _SEPARABLE,
    "SeparableConv2D": _SEPARABLE,
    "Conv1DTranspose": _TRANSPOSED,
    "Conv2DTranspose": _TRANSPOSED,
    "Conv3DTranspose": _TRANSPOSED,
    "SimpleRNNCell": _RECURRENT,
    "GRUCell": _RECURRENT,
    "LSTMCell": _RECURRENT,
    "Embedding": (("embeddings", ()),),
    "ReversibleEmbedding": (("embeddings", ()),),
}
"""By class: each kernel's attribute and its axes of output channels; none if it is one channel."""


@dataclass(frozen=True)
class Kernel:
    """A layer's large weight.

    Attributes:
        variable: The weight, float32 of any shape.
        channels: Its axes, counted from the last, that number the output channels.
    """

    variable: keras.Variable
    channels: tuple[int, ...]

    kind: str = ""
    """Class name of the layer or cell that it is of."""

    @property
    def depthwise(self) -> bool:
        """Whether each of its channels reads one input only."""
        return self.channels == (-2, -1)

    @property
    def inputs(self) -> tuple[int, ...]:
        """The other axes: those over which a channel extends."""
        rank = len(self.variable.shape)
        return tuple(axis for axis in range(rank) if axis - rank not in self.channels)


def layers_within(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yield ``layer`` and all layers inside it: of nested models, of wrappers, cells of RNNs."""
    yield from layer._flatten_layers()  # noqa: SLF001  Keras' only list of layers inside layers


def kernels_of(layer: keras.layers.Layer) -> list[Kernel]:
    """Return the kernels of ``layer`` and of all layers inside it, each once, in a fixed order."""
    kernels = {
        id(variable := getattr(inner, attribute)): Kernel(variable, channels, kind)
        for inner in layers_within(layer)
        for kind in [type(inner).__name__]
        for attribute, channels in KERNELS.get(kind, ())
    }
    return list(kernels.values())
