"""What every runtime offers, and how one is opened for a file."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from agiwb.artifacts.manifest import MODEL_FILES, Format, format_of
from agiwb.artifacts.signature import Signature

Tensors = dict[str, NDArray[Any]]


class Runtime(Protocol):
    """A loaded model.

    Thread safety: ``run`` may be called from any thread; an implementation whose engine is not
    thread-safe holds a lock. Ownership: the arrays returned are the caller's.
    """

    @property
    def signature(self) -> Signature:
        """Names, dtypes and shapes of inputs and outputs."""
        ...

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """Return every output by name for one batch; the first dimension is the batch.

        Raises:
            InputError: A name, dtype or shape does not fit the signature.
        """
        ...


_HOMES: dict[Format, str] = {
    "keras": "agiwb.runtimes.keras:KerasRuntime",
    "h5": "agiwb.runtimes.keras:KerasRuntime",
    "saved_model": "agiwb.runtimes.saved_model:SavedModelRuntime",
    "frozen_pb": "agiwb.runtimes.frozen_pb:FrozenGraphRuntime",
    "onnx": "agiwb.runtimes.onnx:OnnxRuntime",
    "onnx_float16": "agiwb.runtimes.onnx:OnnxRuntime",
    "litert": "agiwb.runtimes.litert:LiteRTRuntime",
    "litert_float16": "agiwb.runtimes.litert:LiteRTRuntime",
    "litert_dynamic": "agiwb.runtimes.litert:LiteRTRuntime",
    "litert_int8": "agiwb.runtimes.litert:LiteRTRuntime",
    "litert_int16x8": "agiwb.runtimes.litert:LiteRTRuntime",
    "openvino": "agiwb.runtimes.openvino:OpenVinoRuntime",
}


def open_runtime(folder: Path, threads: int = 1) -> Runtime:
    """Return a runtime for the model in ``folder``; see ``format_of``.

    Raises:
        NotFoundError: The folder holds no model of a known format.
    """
    found = format_of(folder)
    module, _, attribute = _HOMES[found].partition(":")
    opener: Callable[[Path, int], Runtime] = getattr(importlib.import_module(module), attribute)
    return opener(folder / MODEL_FILES[found], threads)
