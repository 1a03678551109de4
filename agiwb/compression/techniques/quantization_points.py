"""Where an integer runtime rounds: which layers read, pass on and write 8-bit numbers.

LiteRT computes a convolution, the batch normalisation after it and a ReLU as one operator, and
rounds once at its end; what only moves numbers does not round at all. Ranges are trained at the
same places, so that the file rounds where the training did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import keras

Output = Literal["learned", "unit", "symmetric", "none"]
"""The range of what a layer writes: trained, 0 to 1, -1 to 1, or not rounded here."""

MOVES = frozenset(
    {
        *("Flatten", "Reshape", "Permute", "RepeatVector", "Identity", "Dropout"),
        *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise"),
        *("MaxPooling1D", "MaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"),
        *("AveragePooling1D", "AveragePooling2D", "ZeroPadding1D", "ZeroPadding2D"),
        *("Cropping1D", "Cropping2D", "UpSampling2D"),
    }
)
"""Layers whose output has their input's scale in LiteRT."""

AFFINE = frozenset({"BatchNormalization", "Normalization", "Rescaling"})
"""Layers that multiply and add, in two operators with a range between them unless folded."""

SEPARABLE = frozenset({"SeparableConv1D", "SeparableConv2D"})
"""Layers of two convolutions, with a range between them."""

LEFT = frozenset(
    {
        *("Embedding", "ReversibleEmbedding", "MultiHeadAttention", "GroupQueryAttention"),
        *("LayerNormalization", "GroupNormalization", "RMSNormalization"),
    }
)
"""Layers that stay in floats."""

_FOLDING = frozenset({"Dense", "Conv2D", "DepthwiseConv2D", "SeparableConv2D"})
_FUSING = _FOLDING | {"Conv1D", "Conv2DTranspose", "Add", "Subtract", "Multiply"}
_FIXED: dict[str, Output] = {"softmax": "unit", "sigmoid": "unit", "tanh": "symmetric"}
_CLAMPS = frozenset({"linear", "relu", "relu6"})


@dataclass(frozen=True)
class Points:
    """Where a layer rounds.

    Attributes:
        raw: Its input comes from outside and has no range yet.
        middle: It has a range between two operators of its own.
        before_activation: Its own activation is an operator that reads 8-bit numbers.
        output: The range of its output.
    """

    raw: bool = False
    middle: bool = False
    before_activation: bool = False
    output: Output = "none"


def find_points(model: keras.Model) -> dict[int, Points]:
    """Return where the layers of ``model``, those of nested models too, round, by their ``id``."""
    return dict(_find(model, outside=True))


def _find(model: keras.Model, *, outside: bool) -> Iterator[tuple[int, Points]]:
    import keras

    followers, starts, ends = _graph(model)
    raw = {id(layer) for start in starts if outside for layer in followers[start]}
    folded = {
        id(following[0])
        for layer in model.layers
        if len(following := followers[id(layer)]) == 1
        and id(layer) not in ends
        and _folds(layer, following[0])
    }
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _find(layer, outside=id(layer) in raw)
            continue
        following = followers[id(layer)]
        alone = following[0] if len(following) == 1 and id(layer) not in ends else None
        yield (
            id(layer),
            _points(
                layer, alone, id(layer) in raw, id(layer) in folded, (outside and id(layer) in ends)
            ),
        )


def _points(
    layer: keras.layers.Layer,
    follower: keras.layers.Layer | None,
    raw: bool,
    folded: bool,
    last: bool,
) -> Points:
    kind, activation = type(layer).__name__, activation_name(layer)
    middle = kind in SEPARABLE or (kind in AFFINE and not folded)
    if kind in MOVES:
        return Points(raw=raw)
    if activation in _FIXED:
        own = kind not in {"Activation", "Softmax"}
        return Points(raw, middle, own, "none" if last else _FIXED[activation])
    if activation not in _CLAMPS:
        return Points(raw, middle, kind not in {"Activation", "ReLU"}, "learned")
    if follower is not None and activation == "linear":
        fuses = kind in _FUSING or folded
        if _folds(layer, follower) or (fuses and _is_relu(follower)):
            return Points(raw, middle)
    return Points(raw, middle, output="learned")


def activation_name(layer: keras.layers.Layer) -> str:
    """Return the name of a layer's own activation; recurrent layers keep theirs to themselves."""
    kind = type(layer).__name__
    if kind == "Softmax":
        return "softmax"
    if kind == "ReLU":
        plain = not layer.negative_slope and not layer.threshold
        return "relu" if plain and layer.max_value in (None, 6) else "other"
    if hasattr(layer, "cell"):
        return "linear"
    return getattr(getattr(layer, "activation", None), "__name__", "linear")


def _folds(layer: keras.layers.Layer, follower: keras.layers.Layer) -> bool:
    """Return whether ``follower`` is a normalisation that disappears in the weights of ``layer``.

    Symmetric int8 by output channel commutes with it: it only scales each channel's step.
    """
    return (
        type(layer).__name__ in _FOLDING
        and activation_name(layer) == "linear"
        and type(follower).__name__ == "BatchNormalization"
        and follower.axis in (-1, len(follower.input.shape) - 1)
        and getattr(layer, "data_format", "channels_last") == "channels_last"
    )


def _is_relu(layer: keras.layers.Layer) -> bool:
    return type(layer).__name__ in {"ReLU", "Activation"} and activation_name(layer) in {
        "relu",
        "relu6",
    }


def _graph(
    model: keras.Model,
) -> tuple[dict[int, list[keras.layers.Layer]], set[int], set[int]]:
    """Return who reads each layer's output, the layers of the inputs, and those of the outputs.

    Layers stand by their ``id``; a layer that reads a tensor twice is there twice.
    """
    graph = getattr(model, "_functional", None) or model
    followers: dict[int, list[keras.layers.Layer]] = defaultdict(list)
    for nodes in graph._nodes_by_depth.values():  # noqa: SLF001  Keras' only record of its graph
        for node in nodes:
            for tensor in node.input_tensors:
                followers[_maker(tensor)].append(node.operation)
    return followers, set(map(_maker, graph.inputs)), set(map(_maker, graph.outputs))


def _maker(tensor: keras.KerasTensor) -> int:
    return id(tensor._keras_history.operation)  # noqa: SLF001  likewise
