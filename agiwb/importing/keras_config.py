"""Whether a Keras model's description names only what Keras itself has, read as mere JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agiwb.importing.limits import DEEPEST, LARGEST_TENSOR
from agiwb.importing.refusal import quoted, refused
from agiwb.importing.report import Contents

_MODULES = re.compile(
    r"builtins|keras"
    r"|keras(\.src|\.api|\.(api\.)?_v2\.keras)?\."
    r"(activations|constraints|dtype_policies|engine|initializers|layers|losses|metrics|models"
    r"|mixed_precision|ops|optimizers|quantizers|random|regularizers)(\.[a-z]\w*)*"
)
"""Modules whose classes and functions describe a model: none reads, writes or starts anything."""

_DENIED = {
    "Lambda": "code",
    "__lambda__": "code",
    "TorchModuleWrapper": "a pickled PyTorch module",
    "TFSMLayer": "another model on the disk",
    "JaxLayer": "code",
    "FlaxLayer": "code",
    "FileWriter": "a file",
}
_FILES = ("vocabulary", "idf_weights")
"""Parameters that name a file if they hold a text, which the layer would then read."""
_OWN_PACKAGE = "agiwb>"


def parse_config(content: bytes | str, path: Path) -> Any:
    """Return what a JSON description holds; raise InputError if it is none."""
    try:
        config = json.loads(content)
        deep = _too_deep(config)
    except (ValueError, RecursionError):
        raise refused(path, "its description is no JSON, or a damaged one") from None
    if deep:
        raise refused(path, f"its description is nested more than {DEEPEST} levels deep")
    return config


def inspect_config(config: Any, path: Path, trusted: str | None = None) -> Contents:
    """Return what a model's description names.

    Args:
        config: As JSON gave it.
        path: The file, for the message.
        trusted: Module of the user's own whose classes may be named, or None.

    Raises:
        InputError: It names a class or function outside Keras' own modelling modules, holds code,
            or would have a layer read a file.
    """
    classes: Counter[str] = Counter()
    custom: dict[str, None] = {}
    for part in _parts(config):
        name = part.get("class_name")
        if isinstance(name, str) and "config" in part:
            if (own := _check(part, name, path, trusted)) is not None:
                custom[own] = None
            if _is_layer(name, part["config"]):
                classes[name] += 1
        elif "module" in part and "registered_name" in part:
            raise refused(path, f"it names the module {quoted(part['module'])} for no class")
        _check_values(part, path)
    return Contents(operators=dict(classes), custom=tuple(custom))


def _is_layer(name: str, config: Any) -> bool:
    """Return whether a class is a layer or model; initializers, losses and the like are neither."""
    if isinstance(config, dict):
        return name == "InputLayer" or not {"trainable", "layers"}.isdisjoint(config)
    return name == "Sequential"  # a list of layers, before Keras 2.2.3


def _check(part: dict[str, Any], name: str, path: Path, trusted: str | None) -> str | None:
    """Return the name of a class that is the user's own, None if it is Keras'."""
    registered, module = part.get("registered_name"), part.get("module")
    for said in (name, registered, part.get("spec_name")):
        if isinstance(said, str) and said.rpartition(">")[2] in _DENIED:
            raise refused(
                path,
                f"its layer {quoted(_layer_name(part))} is a {quoted(said)}, which brings "
                f"{_DENIED[said.rpartition('>')[2]]} along",
                "Save the model again with a layer class in place of it.",
            )
    if name == "function" and not isinstance(part["config"], str):
        raise refused(path, "it names a function that is no name")
    if isinstance(module, str) and _MODULES.fullmatch(module):
        if isinstance(registered, str) and ">" in registered:
            return _own(registered, None, path, trusted)
        return None
    if module is not None and not isinstance(module, str):
        raise refused(path, f"it names the module {quoted(module)}")
    said = str(registered or name)
    if module is None and ">" not in said and "module" not in part:
        return None  # a file of Keras 2, whose names are those of Keras' classes only
    return _own(said, module, path, trusted)


def _own(registered: str, module: str | None, path: Path, trusted: str | None) -> str | None:
    if module is None and registered.startswith(_OWN_PACKAGE):
        return registered
    if trusted and (module is None or module == trusted or module.startswith(f"{trusted}.")):
        return registered
    if trusted and module and trusted.startswith(f"{module}."):
        return registered
    where = f" of the module {quoted(module)}" if module else ""
    raise refused(
        path,
        f"it names {quoted(registered)}{where}, which is not Keras' own",
        "If it is your own code, and you trust it, name its module as `custom_objects`.",
    )


def _check_values(part: dict[str, Any], path: Path) -> None:  # noqa: C901  one list of limits
    for key in _FILES:
        if isinstance(part.get(key), str):
            raise refused(path, f"a layer of it would read the file {quoted(part[key])}")
    for key in ("batch_shape", "batch_input_shape", "input_shape", "shape", "target_shape"):
        sizes = part.get(key)
        if not isinstance(sizes, list):
            continue
        count = 1
        for size in sizes:
            if isinstance(size, int) and not isinstance(size, bool):
                if size < -1:
                    raise refused(path, f"it has a tensor of the shape {quoted(sizes)}")
                count *= max(size, 1)
        if count > LARGEST_TENSOR:
            raise refused(path, f"it has a tensor of the shape {quoted(sizes)}")
    for key in ("units", "filters", "input_dim", "output_dim"):
        size = part.get(key)
        if isinstance(size, int) and not 0 <= size <= 2**31:
            raise refused(path, f"a layer of it has {quoted(size)} {key}")


def _layer_name(part: dict[str, Any]) -> str:
    config = part.get("config")
    return str(config.get("name", "") if isinstance(config, dict) else "") or "?"


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping of a description, however deep."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _too_deep(config: Any) -> bool:
    level = [config]
    for _ in range(DEEPEST):
        level = [
            inner
            for part in level
            for inner in (
                part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
            )
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
