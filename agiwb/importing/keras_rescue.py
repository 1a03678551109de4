"""Rewriting a description by Keras 2 so that Keras 3 can read it.

Each change is one that Keras' own notes of the release name, or that its loader fails on: renamed
parameters, parameters that are gone, and classes that moved. What a model computes stays the same;
a parameter that is gone is dropped only where it had no effect.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agiwb.importing.refusal import quoted, refused

_GONE: dict[str, tuple[Any, ...]] = {
    "time_major": (False,),
    "ragged": (False, None),
    "renorm": (False, None),
    "renorm_clipping": (None,),
    "renorm_momentum": (0.99, None),
    "virtual_batch_size": (None,),
    "adjustment": (None,),
    "fused": (True, False, None),
    "input_length": (None,),
    "experimental_autocast": (True, None),
}
"""Parameters that Keras 3 no longer has, and the values at which they change nothing."""

_GROUPS = {"DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
           "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"}  # fmt: skip
"""Convolutions that never had groups, and whose descriptions say ``groups: 1`` all the same."""

_SEPARABLE = {"SeparableConv1D", "SeparableConv2D"}
_OF_A_KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")

_RENAMED = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "Model": "Functional",
    "Policy": "DTypePolicy",
    "PolicyV1": "DTypePolicy",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
}
_GRAPH_CALLS = ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "TensorFlowOpLayer")
_OLD_MODULE = re.compile(r"keras(\.src)?\.engine\.\w+")


def is_keras_2(version: object, config: Any) -> bool:
    """Return whether a file that says it is of Keras ``version`` was written by Keras 1 or 2."""
    if isinstance(version, str) and version[:1].isdecimal():
        return not version.startswith("3.")
    return "batch_input_shape" in str(config)


def rescue(config: Any, path: Path) -> tuple[Any, tuple[str, ...]]:
    """Return a description that Keras 3 reads, and in words what was changed.

    Raises:
        InputError: The model uses what Keras 3 has no equal of.
    """
    changes: dict[str, None] = {}

    def tell(change: str) -> None:
        changes[change] = None

    return _rescued(config, path, tell), tuple(changes)


def _rescued(part: Any, path: Path, tell: Callable[[str], None]) -> Any:
    if isinstance(part, list):
        return [_rescued(each, path, tell) for each in part]
    if not isinstance(part, dict):
        return part
    part = {key: _rescued(value, path, tell) for key, value in part.items()}
    name, config = part.get("class_name"), part.get("config")
    if not isinstance(name, str) or not isinstance(config, dict):
        return part
    if name in _GRAPH_CALLS:
        raise refused(
            path,
            f"its layer {quoted(config.get('name', '?'))} calls TensorFlow by name ({name}), "
            "which Keras 3 cannot rebuild",
            "Export it as a SavedModel where it was made, and import that.",
        )
    if name in _RENAMED and (name != "Model" or "layers" in config):
        tell(f"{name} is now {_RENAMED[name]}")
        part["class_name"] = name = _RENAMED[name]
        if name == "DTypePolicy":
            part |= {"module": "keras", "registered_name": None}
    if isinstance(part.get("module"), str):
        part["module"] = _module(part["module"], name, tell)
    part["config"] = _parameters(name, config, path, tell)
    return part


def _module(module: str, name: str, tell: Callable[[str], None]) -> str:
    if _OLD_MODULE.fullmatch(module):
        tell(f"{name} is no longer of {module}")
        return "keras"
    moved = module.replace("keras.layers.experimental.preprocessing", "keras.layers")
    if moved != module:
        tell(f"{name} is no longer experimental")
    return moved


def _parameters(  # noqa: C901  one change after the other
    name: str, config: dict[str, Any], path: Path, tell: Callable[[str], None]
) -> dict[str, Any]:
    config = dict(config)
    if "batch_input_shape" in config:
        shape = config.pop("batch_input_shape")
        tell("`batch_input_shape` is now `batch_shape`, of an input layer")
        if name == "InputLayer":
            config["batch_shape"] = shape
        # Elsewhere it repeats what the input layer, or `build_input_shape`, says.
    if name in _GROUPS and config.get("groups") == 1:
        del config["groups"]
        tell(f"`groups` of {name} is gone")
    if name in _SEPARABLE:
        for key in ("kernel_regularizer", "kernel_constraint"):
            if config.get(key) is not None:
                raise refused(path, f"its {name} has a `{key}`, which Keras 3 cannot do")
        # It has two kernels, with initializers of their own; a file brings the weights anyway.
        former = len(config)
        config = {key: value for key, value in config.items() if key not in _OF_A_KERNEL}
        if len(config) < former:
            tell(f"the `kernel_...` parameters of {name} are gone")
    if name == "BatchNormalization" and isinstance(axis := config.get("axis"), list):
        if len(axis) != 1:
            raise refused(path, f"its batch normalisation is over the axes {quoted(axis)}")
        config["axis"] = axis[0]
        tell("`axis` of BatchNormalization is one number")
    for key, harmless in _GONE.items():
        if key in config and (name != "InputLayer" or key == "ragged"):
            value = config[key]
            if not any(value is h or value == h for h in harmless) and key != "input_length":
                raise refused(
                    path,
                    f"its {name} has `{key}: {quoted(value)}`, which Keras 3 cannot do",
                    "Export it as a SavedModel where it was made, and import that.",
                )
            del config[key]
            tell(f"`{key}` is gone")
    return config
