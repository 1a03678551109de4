"""Following each unit of a layer through the model: who computes it, who reads it, what binds it.

The last axis of each tensor is described by its *layout*: int64 ``(channels,)``, for each place
the number of the unit that is there. Units that meet in an addition become one: they can go only
together, as in the residual networks of Li et al. 2017 (arXiv:1608.08710, section 3.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.techniques.layer_graph import Copies, copy_calls

if TYPE_CHECKING:
    import keras

Layout = NDArray[np.int64]

COMPUTES = frozenset({"Dense", "Conv1D", "Conv2D", "Conv3D"})
"""Layers whose units can be removed."""

PER_CHANNEL = frozenset({"BatchNormalization", "DepthwiseConv1D", "DepthwiseConv2D"})
"""Layers with weights of their own for each unit that passes."""

PASSES = frozenset({
    "Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "SpatialDropout1D", "SpatialDropout2D",
    "GaussianNoise", "GaussianDropout", "ActivityRegularization", "Identity",
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D",
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Cropping1D", "Cropping2D", "Cropping3D",
    "UpSampling1D", "UpSampling2D", "UpSampling3D",
    "Relu", "Relu6", "LeakyRelu", "Elu", "Gelu", "Silu", "Sigmoid", "Tanh", "HardSwish",
})  # fmt: skip
"""Layers and operations that treat each unit alone and alike."""

MEETS = frozenset({"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"})
"""Layers and operations of several tensors, unit by unit."""

_FOLLOWED = COMPUTES | PER_CHANNEL | PASSES | MEETS | {"Concatenate", "Flatten", "Reshape"}

_MIXING_ACTIVATIONS = frozenset({"softmax", "log_softmax", "sparsemax", "sparse_softmax", "glu"})


@dataclass
class Channels:
    """What a model's units are and where they go.

    Attributes:
        outputs: By layer name, the layout of what a layer of ``COMPUTES`` gives.
        inputs: By layer name, the layout of what a layer with weights for its units takes.
        layouts: By the order of its call in the model, the layout of what a call gives.
        bound: By unit, why it cannot be removed; read it with ``reason``.
    """

    outputs: dict[str, Layout] = field(default_factory=dict)
    inputs: dict[str, Layout] = field(default_factory=dict)
    layouts: list[Layout] = field(default_factory=list)
    bound: dict[int, str] = field(default_factory=dict)
    _parents: list[int] = field(default_factory=list)

    def new(self, count: int) -> Layout:
        """Return the layout of ``count`` units that did not exist before."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def whole(self, layout: Layout) -> Layout:
        """Return ``layout`` with one number for all units that can go only together."""
        return np.array([self._root(int(unit)) for unit in layout], np.int64)

    def join(self, layouts: Iterable[Layout]) -> Layout:
        """Make one of the units at the same place of ``layouts`` of equal length."""
        first, *others = layouts
        for other in others:
            for one, two in zip(first, other, strict=True):
                old, new = sorted((self._root(int(one)), self._root(int(two))))
                self._parents[new] = old
        return first

    def bind(self, layout: Layout, reason: str) -> None:
        """Note why the units of ``layout`` cannot be removed; the first reason counts."""
        for unit in layout:
            self.bound.setdefault(int(unit), reason)

    def reasons(self) -> dict[int, str]:
        """Return, by number of ``whole``, why a unit or one that goes with it cannot go."""
        return {self._root(unit): reason for unit, reason in reversed(self.bound.items())}

    def _root(self, unit: int) -> int:
        while self._parents[unit] != unit:
            self._parents[unit] = self._parents[self._parents[unit]]
            unit = self._parents[unit]
        return unit


def follow_channels(model: keras.Model) -> Channels:
    """Return where the units of ``model`` go, whose layers have different names.

    ``model`` is a functional model without nested ones; ``copy_calls`` makes such.
    """
    import keras

    channels, copies = Channels(), Copies()
    layouts: dict[int, Layout] = {}

    def layout_of(tensor: Any) -> Layout:
        if id(tensor) not in layouts:  # of an input
            layouts[id(tensor)] = channels.new(_last(tensor))
            channels.bind(layouts[id(tensor)], "it is an input of the model")
        return layouts[id(tensor)]

    held = []  # an id is a tensor's own only as long as the tensor lives

    def call(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = copies.of(layer)(*args, **kwargs)
        taken = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
        given = keras.tree.flatten(result)
        layout = _layout(channels, layer, taken, given[0], [layout_of(x) for x in taken])
        for tensor in given:
            layouts[id(tensor)] = layout
        if len(given) > 1 or len(layout) != _last(given[0]):
            reason = f"{layer.name} ({type(layer).__name__}) cannot be followed"
            for tensor in given:
                layouts[id(tensor)] = channels.new(_last(tensor))
            for tensor in [*taken, *given]:
                channels.bind(layouts[id(tensor)], reason)
        held.extend([*taken, *given])
        channels.layouts.append(layouts[id(given[0])])
        return result

    copy = copy_calls(model, call)
    for tensor in copy.outputs:
        channels.bind(layout_of(tensor), "it is an output of the model")
    return channels


def _layout(
    channels: Channels, layer: Any, taken: list[Any], given: Any, layouts: list[Layout]
) -> Layout:
    """Return the layout of ``given``, which ``layer`` makes of the tensors ``taken``."""
    kind = type(layer).__name__
    if obstacle := _obstacle(layer, taken):
        channels.bind(np.concatenate([*layouts, channels.new(0)]), obstacle)
        fresh = channels.outputs.setdefault(layer.name, channels.new(_last(given)))
        channels.bind(fresh, obstacle)
        return fresh
    if kind in COMPUTES | PER_CHANNEL:
        known = channels.inputs.setdefault(layer.name, layouts[0])
        channels.join([known, layouts[0]])
    if kind in COMPUTES:
        return _computed(channels, layer, given)
    if kind == "Concatenate" and layer.axis in (-1, len(given.shape) - 1):
        return np.concatenate(layouts)
    if kind in {"Flatten", "Reshape"}:
        return np.tile(layouts[0], _last(given) // len(layouts[0]))
    return channels.join(layouts)


def _computed(channels: Channels, layer: Any, given: Any) -> Layout:
    """Return the layout of the units that ``layer`` itself computes, the same at each call."""
    if layer.name not in channels.outputs:
        channels.outputs[layer.name] = channels.new(_last(given))
    if _mixes(layer):
        reason = f"the activation of {layer.name} compares its units"
        channels.bind(channels.outputs[layer.name], reason)
    return channels.outputs[layer.name]


def _obstacle(layer: Any, taken: list[Any]) -> str:
    """Return why units cannot be followed through ``layer``, or nothing if they can."""
    kind = type(layer).__name__
    rank = len(taken[0].shape) if taken else 0
    obstacles = {
        "is not a layer through which units are followed": kind not in _FOLLOWED,
        "has its channels first": getattr(layer, "data_format", None) == "channels_first",
        "has an activation that compares its units": _mixes(layer) and kind not in COMPUTES,
        "has its channels in groups": getattr(layer, "groups", 1) != 1,
        "makes several channels of one": getattr(layer, "depth_multiplier", 1) != 1,
        "does not normalise the last axis": kind == "BatchNormalization"
        and layer.axis not in (-1, rank - 1),
        "meets tensors of different numbers of units": kind in MEETS
        and (len(taken) < 2 or len({_last(x) for x in taken}) > 1),
        "makes another axis the last one": kind == "Reshape" and _turns(layer, taken[0].shape[1:]),
    }
    found = next((words for words, there in obstacles.items() if there), None)
    return f"{layer.name} ({kind}) {found}" if found else ""


def _turns(layer: Any, shape: tuple[int | None, ...]) -> bool:
    """Return whether a Reshape of ``shape`` neither keeps the last axis nor flattens all."""
    flattens = len(layer.target_shape) == 1 and None not in shape
    return not flattens and layer.target_shape[-1] != shape[-1]


def _mixes(layer: Any) -> bool:
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    return name in _MIXING_ACTIVATIONS


def _last(tensor: Any) -> int:
    """Return the size of the last axis; 1 if it is free or there is none."""
    return int(tensor.shape[-1] or 1) if len(tensor.shape) > 1 else 1
