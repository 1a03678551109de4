"""A loaded version of a model, ready to answer, and what is told about it."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from agiwb.artifacts.manifest import MODEL_FILES, Format
from agiwb.artifacts.signature import SIGNATURE_NAME, Signature, TensorSpec
from agiwb.errors import InputError, NotFoundError
from agiwb.runtimes.runtime import Runtime, Tensors, open_runtime
from agiwb.serving.versions import Version

SERVED_FORMATS: tuple[Format, ...] = ("onnx", "litert")
"""The formats whose runtimes do not bring TensorFlow into the server's process."""

_TIMED_RUNS = 3
_TENSORFLOW_TYPES = {
    "float16": "DT_HALF",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "object": "DT_STRING",
}
"""TensorFlow's names of element types, where they are not NumPy's in capitals."""


@dataclass(frozen=True)
class ServedModel:
    """One version of a model, warmed.

    ``seconds_per_row`` is how long a first batch took once warm, per row; infinite if the model
    refused it.
    """

    name: str
    version: int
    runtime: Runtime
    seconds_per_row: float

    @property
    def signature(self) -> Signature:
        """Names, dtypes and shapes of inputs and outputs."""
        return self.runtime.signature


def load_model(name: str, version: Version, threads: int) -> ServedModel:
    """Return the model in ``version``'s folder, loaded and warmed with one batch of zeros.

    The zeros may be refused, as by convolutions larger than an image of one pixel; it is logged.

    Raises:
        InputError: The folder holds no model that is served here, or it cannot be loaded.
    """
    if not any((version.folder / MODEL_FILES[wanted]).is_file() for wanted in SERVED_FORMATS):
        files = " or ".join(MODEL_FILES[wanted] for wanted in SERVED_FORMATS)
        raise NotFoundError(
            f"The folder {version.folder} holds no {files}.",
            "`agiwb convert` writes them.",
        )
    runtime = open_runtime(version.folder, threads)
    batch = _zero_batch(runtime.signature)
    try:
        seconds_per_row = _fastest_run(runtime, batch) / max(count_rows(batch), 1)
    except InputError as error:
        logging.getLogger("agiwb").warning("%s is not warmed: %s", name, error)
        seconds_per_row = math.inf
    return ServedModel(name, version.number, runtime, seconds_per_row)


def count_rows(tensors: Tensors) -> int:
    """Return the rows of a batch: the largest first dimension, or 1 if there is none."""
    return max((len(array) for array in tensors.values() if array.ndim), default=1)


def describe_status(model: ServedModel) -> dict[str, Any]:
    """Return what TensorFlow Serving answers to a status request."""
    status = {"error_code": "OK", "error_message": ""}
    return {
        "model_version_status": [
            {"version": str(model.version), "state": "AVAILABLE", "status": status}
        ]
    }


def describe_metadata(model: ServedModel) -> dict[str, Any]:
    """Return what TensorFlow Serving answers to a metadata request: the signature."""
    entry = {
        "inputs": {spec.name: _tensor_info(spec) for spec in model.signature.inputs},
        "outputs": {spec.name: _tensor_info(spec) for spec in model.signature.outputs},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": str(model.version)},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE_NAME: entry}}},
    }


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    # Protocol buffers write int64 as strings in JSON.
    sizes = ["-1" if size is None else str(size) for size in spec.shape]
    return {
        "dtype": _TENSORFLOW_TYPES.get(spec.dtype, f"DT_{spec.dtype.upper()}"),
        "tensor_shape": {
            "dim": [{"size": size, "name": ""} for size in sizes],
            "unknown_rank": False,
        },
        "name": spec.name,
    }


def _zero_batch(signature: Signature) -> Tensors:
    """Return zeros that fit the inputs, with sizes of 1 where free."""
    batch = {}
    for spec in signature.inputs:
        shape = [1 if size is None else size for size in spec.shape]
        batch[spec.name] = np.full(shape, "" if spec.dtype == "object" else 0, spec.dtype)
    return batch


def _fastest_run(runtime: Runtime, batch: Tensors) -> float:
    """Return the seconds of the fastest of a few runs, after one that warms up."""
    runtime.run(batch)
    durations = []
    for _ in range(_TIMED_RUNS):
        start = time.perf_counter()
        runtime.run(batch)
        durations.append(time.perf_counter() - start)
    return min(durations)
