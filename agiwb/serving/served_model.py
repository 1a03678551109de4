"""A loaded version of a model, ready to answer, and what is told about it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from agiwb.artifacts.manifest import MODEL_FILES, Format
from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import NotFoundError
from agiwb.runtimes.runtime import Runtime, Tensors, open_runtime
from agiwb.serving.codec import SIGNATURE_NAME
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
    """One version of a model that has answered a first batch.

    ``seconds_per_row`` is how long that batch took once warm, per row.
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
    rows = max((len(array) for array in batch.values() if array.ndim), default=1)
    return ServedModel(name, version.number, runtime, _fastest_run(runtime, batch) / max(rows, 1))


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
