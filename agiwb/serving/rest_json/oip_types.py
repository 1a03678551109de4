"""The Open Inference Protocol's names of element types, and how a model is described with them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import InputError, did_you_mean

BYTES = "BYTES"
DATATYPES: dict[str, str] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    BYTES: "object",
}
"""NumPy's names by the protocol's; BYTES are strings."""
_PLATFORMS = {
    MODEL_FILES["onnx"]: "onnxruntime_onnx",
    MODEL_FILES["litert"]: "litert_tflite",
    MODEL_FILES["saved_model"]: "tensorflow_savedmodel",
    MODEL_FILES["keras"]: "keras_keras",
}
_DATATYPE_OF = {dtype: datatype for datatype, dtype in DATATYPES.items()}


@functools.lru_cache(maxsize=256)  # NumPy makes up a type's name anew each time
def datatype_of(dtype: np.dtype[Any] | str) -> str:
    """Return the protocol's name of a NumPy type.

    Raises:
        InputError: It has none, as complex numbers.
    """
    wanted = np.dtype(dtype)
    if wanted.kind in "SU":
        return BYTES
    try:
        return _DATATYPE_OF[wanted.name]
    except KeyError:
        raise InputError(
            f"The Open Inference Protocol has no datatype for {wanted.name}."
        ) from None


def dtype_of(datatype: object, tensor: str) -> str:
    """Return NumPy's name of the ``datatype`` that a request gives the input ``tensor``.

    Raises:
        InputError: There is no such datatype.
    """
    if isinstance(datatype, str) and datatype in DATATYPES:
        return DATATYPES[datatype]
    raise InputError(
        f"The input {tensor} has the datatype {datatype!r}, which the protocol does not know.",
        did_you_mean(str(datatype), DATATYPES),
    )


def platform_of(folder: Path) -> str:
    """Return the protocol's name of what runs a version's model, ``<project>_<format>``."""
    return next((name for file, name in _PLATFORMS.items() if (folder / file).is_file()), "agiwb")


def describe_oip_model(
    name: str, versions: Sequence[int], signature: Signature, platform: str
) -> dict[str, Any]:
    """Return the protocol's model metadata; a free dimension is -1."""
    return {
        "name": name,
        "versions": [str(version) for version in versions],
        "platform": platform,
        "inputs": [_describe(spec) for spec in signature.inputs],
        "outputs": [_describe(spec) for spec in signature.outputs],
    }


def _describe(spec: TensorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "datatype": datatype_of(spec.dtype),
        "shape": [-1 if size is None else size for size in spec.shape],
    }
