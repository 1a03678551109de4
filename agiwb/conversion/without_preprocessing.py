"""A model without its first layers: those that turn strings into numbers.

Few runtimes have operators for strings. What comes after these layers runs anywhere, and what they
do is written down for the callers: the layers' configs, and the vocabularies.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agiwb.artifacts.manifest import Preprocessing
from agiwb.errors import InputError

if TYPE_CHECKING:
    import keras

_TEXT = "string"


def cut_preprocessing(model: keras.Model) -> tuple[keras.Model, keras.Model, Preprocessing]:
    """Return the layers that read strings, the rest of the model, and what the former do.

    Both parts share the model's layers and weights. An input of the rest is called as the input
    whose strings it stands for; inputs that are numbers already go through.

    Raises:
        InputError: No input is a string, or a part that reads strings cannot be told apart.
    """
    import keras

    texts = [tensor.name for tensor in model.inputs if tensor.dtype == _TEXT]
    if not texts:
        raise InputError(
            f"The model {model.name!r} has no preprocessing to leave out: no input is a string.",
            "Convert it as it is.",
        )
    cuts = _cuts(model)
    named: dict[str, Any] = {}
    vocabularies, layers = {}, []
    for tensor in model.inputs:
        if tensor.name not in texts:
            named[tensor.name] = tensor
    for layer, origin, tensor in cuts:
        name = origin if origin not in named else f"{origin}_{layer.name}"
        named[name] = tensor
        layers.append(json.loads(json.dumps(keras.saving.serialize_keras_object(layer))))
        if hasattr(layer, "get_vocabulary"):
            vocabularies[name] = tuple(map(str, layer.get_vocabulary()))
    first = keras.Model({tensor.name: tensor for tensor in model.inputs}, named)
    rest = keras.Model(list(named.values()), model.outputs, name=f"{model.name}_after_strings")
    inputs = {
        name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in named.items()
    }
    answers = keras.tree.flatten(rest(list(inputs.values())))
    outputs = dict(zip(output_names(model), answers, strict=True))
    note = "; ".join(
        f"{name}: what the layer {layer.name} ({type(layer).__name__}) gives for {origin}"
        for name, (layer, origin, _) in zip(list(named)[-len(cuts) :], cuts, strict=True)
    )
    about = Preprocessing(
        note=f"Inputs are numbers in place of strings. {note}.",
        layers=tuple(layers),
        vocabularies=vocabularies,
    )
    return first, keras.Model(inputs, outputs, name=model.name), about


def _cuts(model: keras.Model) -> list[tuple[Any, str, Any]]:
    """Return each layer that makes numbers of strings, the input it reads, and its output."""
    graph = getattr(model, "_functional", None) or model
    origins = {id(tensor): tensor.name for tensor in graph.inputs if tensor.dtype == _TEXT}
    found = []
    by_depth = graph._nodes_by_depth  # noqa: SLF001  told nowhere else
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            read = [origins[id(t)] for t in node.input_tensors if id(t) in origins]
            if not read or node.is_input:
                continue
            for tensor in node.output_tensors:
                if tensor.dtype == _TEXT:
                    origins[id(tensor)] = read[0]
                else:
                    found.append((_plain_layer(node.operation), read[0], tensor))
    return found


def _plain_layer(layer: Any) -> Any:
    """Return ``layer``; raise InputError if it is a whole model, which may do more."""
    import keras

    if isinstance(layer, keras.Model):
        raise InputError(
            f"The nested model {layer.name!r} reads strings itself, and cannot be taken apart.",
            "Give the layers that read strings to the outer model.",
        )
    return layer


def output_names(model: keras.Model) -> list[str]:
    """Return the names of the outputs: a dict's keys, else the layers that give them."""
    import keras

    if isinstance(getattr(model, "output", None), dict):
        return [str(path[-1]) for path, _ in keras.tree.flatten_with_path(model.output)]
    # A Sequential model does not name its output: its last layer does.
    return list(getattr(model, "output_names", None) or [model.layers[-1].name])
