"""Keras' files: the layers' configs as JSON, and the weights as HDF5; no layer is ever built."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.inspection.contents import Contents, Weight, counted
from agiwb.inspection.inspection import GraphNode

_OPTIMIZER = "optimizer"
_FREE_BYTES = 100 * 2**20
_HIGHEST_RATIO = 100
"""Of what unpacks to more than these bytes; weights seldom pack better than 10 to 1."""


def read_keras(path: Path) -> Contents:
    """Return what is in a ``.keras`` file."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        config = json.loads(_part(archive, "config.json"))
        metadata = json.loads(_part(archive, "metadata.json"))
        with h5py.File(io.BytesIO(_part(archive, "model.weights.h5")), "r") as weights:
            tensors = list(_numbered_weights(weights, _kinds(config)))
            state = sum(size for name, size in _sizes(weights) if name.startswith(_OPTIMIZER))
    details = {"keras version": str(metadata.get("keras_version", ""))}
    if state:
        details["optimizer's state"] = f"{state} bytes"
    return _contents(config, tensors, details)


def read_h5(path: Path) -> Contents:
    """Return what is in a ``.h5`` file of a whole model, of Keras 2 or 3."""
    import h5py

    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs or "model_weights" not in file:
            raise InputError(f"The file {path} holds no whole model.", "Weights alone do not do.")
        config = json.loads(file.attrs["model_config"])
        kinds = _kinds(config)
        tensors = [
            _weight(name, _owner(name, kinds), kinds, dataset)
            for name, dataset in _datasets(file["model_weights"])
        ]
        details = {"keras version": str(file.attrs.get("keras_version", ""))}
    return _contents(config, tensors, details)


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    part = archive.getinfo(name)
    _refuse_bomb(name, part.compress_size, part.file_size)
    return archive.read(part)


def _refuse_bomb(name: str, packed: int, unpacked: int) -> None:
    """Raise InputError where so few bytes unpack to so many that they would fill the memory."""
    if unpacked > _FREE_BYTES and unpacked > _HIGHEST_RATIO * packed:
        raise InputError(
            f"The part {name} has {packed:,} bytes, and would unpack to {unpacked:,}.",
            "Get the model again from a source that you trust.",
        )


def _contents(config: Any, weights: list[Weight], details: dict[str, str]) -> Contents:
    layers = list(_layers(config))
    custom = {layer["registered_name"] for layer in layers if layer.get("registered_name")}
    own = [layer for layer in layers if layer["class_name"] == "Lambda"]
    return Contents(
        signature=Signature(inputs=_inputs(config), outputs=()),
        nodes=_nodes(config),
        weights=weights,
        operators=counted(layer["class_name"] for layer in layers),
        custom_operators=tuple(sorted({*custom, *(layer["class_name"] for layer in own)})),
        details=details,
    )


def _listed(config: Any) -> list[Any]:
    inner = config.get("config")
    layers = inner.get("layers", []) if isinstance(inner, dict) else []
    return [layer for layer in layers if isinstance(layer, dict)]


def _layers(config: Any) -> Iterator[Any]:
    """Yield the config of every layer that is no model itself, however deep it lies."""
    for layer in _listed(config):
        if _listed(layer):
            yield from _layers(layer)
        else:
            yield layer


def _name(layer: Any) -> str:
    inner = layer.get("config")
    own = inner.get("name") if isinstance(inner, dict) else None
    return str(own or layer.get("name") or layer["class_name"])


def _kinds(config: Any) -> dict[str, str]:
    """Return the class of each layer by its name, also of models that are layers."""
    found: dict[str, str] = {}
    for layer in _listed(config):
        found |= {_name(layer): layer["class_name"], **_kinds(layer)}
    return found


def _inputs(config: Any) -> tuple[TensorSpec, ...]:
    specs = []
    for layer in _listed(config):
        if layer["class_name"] == "InputLayer":
            inner = layer["config"]
            shape = inner.get("batch_shape") or inner.get("batch_input_shape") or ()
            dtype = inner.get("dtype") or "float32"
            dtype = dtype["config"]["name"] if isinstance(dtype, dict) else dtype
            dtype = "object" if dtype == "string" else dtype
            specs.append(TensorSpec(name=_name(layer), dtype=dtype, shape=tuple(shape)))
    return tuple(specs)


def _nodes(config: Any) -> list[GraphNode]:
    """Return the outermost layers; in a sequential model each takes the one before it."""
    nodes: list[GraphNode] = []
    sequential = config["class_name"] == "Sequential"
    for layer in _listed(config):
        if sequential:
            inputs = tuple(node.name for node in nodes[-1:])
        else:
            inputs = tuple(dict.fromkeys(_takes(layer.get("inbound_nodes", []))))
        nodes.append(GraphNode(name=_name(layer), operator=layer["class_name"], inputs=inputs))
    return nodes


def _takes(value: Any) -> Iterator[str]:
    """Yield the layers that Keras' notes on a layer's calls name: of Keras 3, or of Keras 2."""
    if isinstance(value, dict):
        history = value.get("config", {}).get("keras_history") if "config" in value else None
        if history:
            yield str(history[0])
        else:
            for inner in value.values():
                yield from _takes(inner)
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
            yield value[0]
        else:
            for inner in value:
                yield from _takes(inner)


def _datasets(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in group.items():
        path = f"{prefix}{name}"
        if hasattr(item, "items"):
            yield from _datasets(item, f"{path}/")
        else:
            yield path, item


def _sizes(file: Any) -> Iterator[tuple[str, int]]:
    return ((name, int(dataset.nbytes)) for name, dataset in _datasets(file))


def _numbered_weights(file: Any, kinds: dict[str, str]) -> Iterator[Weight]:
    """Yield the weights; each folder ``vars`` says which layer's they are."""
    for path, dataset in _datasets(file):
        if path.startswith(_OPTIMIZER):
            continue
        place, _, number = path.rpartition("/")
        place = place.removesuffix("vars").strip("/")
        layer, part = _layer_at(file, place, kinds)
        yield _weight(f"{layer}{part}/{number}", layer, kinds, dataset)


def _layer_at(file: Any, place: str, kinds: dict[str, str]) -> tuple[str, str]:
    """Return the layer whose weights lie at ``place``, and the part of it: a recurrent cell."""
    above = place
    while above:
        variables = file.get(f"{above}/vars")
        name = None if variables is None else variables.attrs.get("name")
        if name in kinds:
            return str(name), place[len(above) :]
        above = above.rpartition("/")[0]
    return place.removeprefix("layers/"), ""


def _owner(path: str, kinds: dict[str, str]) -> str:
    """Return the innermost layer that a weight's path names."""
    words = path.split("/")[:-1]
    return next((word for word in reversed(words) if word in kinds), words[0] if words else path)


def _weight(name: str, layer: str, kinds: dict[str, str], dataset: Any) -> Weight:
    parts = name.split("/")
    if len(parts) > 2 and parts[0] == parts[1]:  # Keras writes the layer's name twice
        name = "/".join(parts[1:])
    _refuse_bomb(name, int(dataset.id.get_storage_size()), int(dataset.nbytes))
    values = np.asarray(dataset[()])
    dtype = "object" if values.dtype.kind in "OS" else str(values.dtype)
    kind = kinds.get(layer, "")
    return Weight(name, layer, kind, dtype, tuple(values.shape), int(values.nbytes), values)
