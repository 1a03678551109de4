"""The same architecture with fewer units everywhere, untrained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agiwb.compression.techniques.layer_graph import Copies, all_layers, copy_calls
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras

_WIDTHS = {
    "Dense": "units",
    "Conv1D": "filters",
    "Conv2D": "filters",
    "Conv3D": "filters",
    "Conv1DTranspose": "filters",
    "Conv2DTranspose": "filters",
    "SeparableConv1D": "filters",
    "SeparableConv2D": "filters",
    "LSTM": "units",
    "GRU": "units",
    "SimpleRNN": "units",
    "Embedding": "output_dim",
}
"""By class name, the field of a layer's config that says how many units it gives."""

_WRAPPERS = frozenset({"Bidirectional", "TimeDistributed"})

_OWN_WIDTH = frozenset({"Concatenate", "Flatten", "Dot"})
"""What gives another number of units than it takes, and so ties no widths together."""

_FIXED = "what cannot change"


def narrowed(model: keras.Model, percent: int) -> keras.Model:
    """Return a functional model like ``model`` with ``percent`` of the units of each layer.

    At least one unit stays. The outputs keep their widths, as does what is added to the input or
    reshaped into something else. Weights are drawn anew, but layers that have nothing to learn,
    as normalisations by means of the data, keep theirs.

    Raises:
        WorkError: The narrower layers do not fit together.
    """
    fixed = _fixed_layers(model)
    copies = Copies()

    def call(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        changes = {} if layer.name in fixed else _narrower(layer, percent)
        return copies.of(layer, **changes)(*args, **kwargs)

    try:
        student = copy_calls(model, call)
        for layer in all_layers(model):
            if layer.weights and not layer.trainable_weights:
                copies.of(layer).set_weights(layer.get_weights())
    except (TypeError, ValueError) as error:
        raise WorkError(
            f"The model {model.name} cannot be made narrower: {' '.join(str(error).split())}",
            "Give the student's `family`.",
        ) from error
    return student


def _narrower(layer: Any, percent: int) -> dict[str, Any]:
    """Return the changes to the config of ``layer``, or of the layers it wraps, for fewer units."""
    kind, config = type(layer).__name__, layer.get_config()
    if kind in _WRAPPERS:
        parts = {part: config[part] for part in ("layer", "backward_layer") if config.get(part)}
        return {part: _narrower_part(wrapped, percent) for part, wrapped in parts.items()}
    return _narrower_config(kind, config, percent)


def _narrower_part(wrapped: dict[str, Any], percent: int) -> dict[str, Any]:
    config = wrapped["config"]
    return {
        **wrapped,
        "config": {**config, **_narrower_config(wrapped["class_name"], config, percent)},
        "build_config": None,  # of the wider one
    }


def _narrower_config(kind: str, config: dict[str, Any], percent: int) -> dict[str, Any]:
    width = _WIDTHS.get(kind)
    return {width: max(1, round(config[width] * percent / 100))} if width else {}


def _fixed_layers(model: keras.Model) -> set[str]:
    """Return the names of the layers whose widths must stay."""
    import keras

    ties = _Ties()
    sources: dict[int, set[str]] = {}
    copies, held = Copies(), []

    def call(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = copies.of(layer)(*args, **kwargs)
        taken = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
        given = keras.tree.flatten(result)
        kind = type(layer).__name__
        read = set().union(*(sources.get(id(x), {_FIXED}) for x in taken))
        if kind in _WIDTHS or kind in _WRAPPERS:
            read = {layer.name}
        elif kind == "Reshape" and taken[0].shape[-1] != given[0].shape[-1]:
            ties.tie(read | {_FIXED})
        elif kind not in _OWN_WIDTH:
            ties.tie(read)
        for tensor in given:
            sources[id(tensor)] = read
        held.extend([*taken, *given])  # an id is a tensor's own only as long as it lives
        return result

    copy = copy_calls(model, call)
    for tensor in copy.outputs:
        ties.tie(sources.get(id(tensor), set()) | {_FIXED})
    return ties.with_(_FIXED)


class _Ties:
    """Sets of names that belong together, growing as more ties become known."""

    def __init__(self) -> None:
        self._sets: list[set[str]] = []

    def tie(self, names: set[str]) -> None:
        touched = [known for known in self._sets if known & names]
        self._sets = [known for known in self._sets if not known & names]
        self._sets.append(names.union(*touched))

    def with_(self, name: str) -> set[str]:
        return next((known for known in self._sets if name in known), set())
