"""Taking units out of a model: which may go, which should, and the smaller model without them."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.techniques.channels import (
    COMPUTES,
    PER_CHANNEL,
    Channels,
    Layout,
    follow_channels,
)
from agiwb.compression.techniques.layer_graph import Copies, all_layers, copy_calls

if TYPE_CHECKING:
    import keras

Importance = Literal["l1", "l2", "batch_norm"]


@dataclass(frozen=True)
class Removal:
    """Units that can leave a model.

    Attributes:
        model: The model without nested ones, which computes what the original does.
        channels: Where its units go.
        gone: Numbers of the units to remove, as ``Channels.whole`` gives them.
        left: By layer name, why none of its units can be removed.
    """

    model: keras.Model
    channels: Channels
    gone: frozenset[int]
    left: dict[str, str]

    def kept(self, layout: Layout) -> NDArray[np.bool_]:
        """Return which places of ``layout`` stay, bool ``(channels,)``."""
        return ~np.isin(self.channels.whole(layout), list(self.gone))


def flat_copy(model: keras.Model) -> keras.Model:
    """Return a functional copy of ``model`` without nested models, with weights of its own."""
    copies = Copies()
    flat = copy_calls(model, lambda layer, args, kwargs: copies.of(layer)(*args, **kwargs))
    for layer in all_layers(model):
        if layer.weights:
            copies.of(layer).set_weights(layer.get_weights())
    return flat


def plan_removal(model: keras.Model, percent: int, importance: Importance) -> Removal:
    """Return the plan to remove ``percent`` of the units of each layer where that is possible.

    Of layers whose units go only together the units with the smallest mean importance go. A
    layer's importances are divided by their mean before, so that none outweighs the others by the
    scale of its weights. One unit always stays.

    Args:
        model: Any functional or sequential model; it is left as it is.
        percent: 1 to 99, rounded down to whole units.
        importance: ``l1`` or ``l2`` norm of a unit's weights (Li et al. 2017, arXiv:1608.08710),
            or the size of its ``batch_norm`` scale (Liu et al. 2017, arXiv:1708.06519); the L1
            norm where no batch normalisation follows.
    """
    flat = flat_copy(model)
    channels = follow_channels(flat)
    reasons = channels.reasons()
    scores: dict[int, list[float]] = defaultdict(list)
    owners: dict[int, set[str]] = defaultdict(set)
    left = {}
    for layer in flat.layers:
        if type(layer).__name__ not in COMPUTES:
            if layer.weights and type(layer).__name__ not in PER_CHANNEL:
                left[layer.name] = f"a {type(layer).__name__} has no units that can be removed"
            continue
        units = channels.whole(channels.outputs[layer.name])
        bound = next((reasons[unit] for unit in units if unit in reasons), None)
        if bound:
            left[layer.name] = bound
        norms = _importances(flat, layer, channels, importance)
        for unit, score in zip(units, norms / (norms.mean() or 1.0), strict=True):
            scores[unit].append(float(score))
            owners[unit].add(layer.name)
    together: dict[frozenset[str], list[int]] = defaultdict(list)
    for unit, names in owners.items():
        if unit not in reasons:
            together[frozenset(names)].append(unit)
    gone: list[int] = []
    for group in together.values():
        ranked = sorted(group, key=lambda unit: (np.mean(scores[unit]), unit))
        gone += ranked[: min(math.floor(len(group) * percent / 100), len(group) - 1)]
    return Removal(flat, channels, frozenset(gone), left)


def without_units(removal: Removal) -> keras.Model:
    """Return the smaller model: it answers as the larger one in which nobody reads what is gone."""
    copies = Copies()
    layouts = iter(removal.channels.layouts)

    def call(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        count = int(removal.kept(next(layouts)).sum())
        return copies.of(layer, **_smaller(layer, count))(*args, **kwargs)

    model = copy_calls(removal.model, call)
    for layer in removal.model.layers:
        if layer.weights:
            copies.of(layer).set_weights(_weights(layer, removal))
    return model


def _smaller(layer: Any, count: int) -> dict[str, Any]:
    """Return the changes to the config of ``layer`` that make it give ``count`` units."""
    kind = type(layer).__name__
    if kind == "Dense":
        return {"units": count}
    if kind in COMPUTES:
        return {"filters": count}
    if kind == "Reshape" and layer.target_shape[-1] != -1:
        return {"target_shape": (*layer.target_shape[:-1], count)}
    return {}


def _weights(layer: Any, removal: Removal) -> list[NDArray[Any]]:
    """Return the weights of ``layer`` for the units that stay."""
    kind, channels = type(layer).__name__, removal.channels
    weights = layer.get_weights()
    if layer.name not in channels.inputs:
        return [*weights]
    taken = removal.kept(channels.inputs[layer.name])
    if kind == "BatchNormalization":
        return [values[taken] for values in weights]
    if kind in PER_CHANNEL:  # a depthwise kernel (..., channels, 1), a bias (channels,)
        return [weights[0][..., taken, :], *(bias[taken] for bias in weights[1:])]
    given = removal.kept(channels.outputs[layer.name])
    kernel, *bias = weights
    return [kernel[..., taken, :][..., given], *(values[given] for values in bias)]


def _importances(
    model: keras.Model, layer: Any, channels: Channels, importance: Importance
) -> NDArray[np.float64]:
    """Return how much each unit of ``layer`` counts, float64 ``(units,)``."""
    units = channels.outputs[layer.name]
    if importance == "batch_norm":
        for norm in model.layers:
            read = channels.inputs.get(norm.name)
            normalises = type(norm).__name__ == "BatchNormalization" and norm.gamma is not None
            if normalises and read is not None and np.array_equal(read, units):
                gamma: NDArray[np.float64] = np.abs(norm.gamma.numpy().astype(np.float64))
                return gamma
    kernel = layer.get_weights()[0].astype(np.float64).reshape(-1, len(units))
    scale: NDArray[np.float64] = np.linalg.norm(kernel, ord=2 if importance == "l2" else 1, axis=0)
    return scale
