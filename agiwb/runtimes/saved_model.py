"""Running a SavedModel by its ``serving_default`` signature, or the one it has instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature, main_signature
from agiwb.runtimes.checking import check_inputs
from agiwb.runtimes.runtime import Tensors
from agiwb.runtimes.saved_model_functions import load_saved_model


class SavedModelRuntime:
    """A SavedModel; see Runtime for the contract.

    ``path`` is the ``saved_model.pb`` in its folder. ``threads`` are used for graphs of
    TensorFlow 1 only: all others share one pool of threads for the whole process.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._functions = load_saved_model(path.parent, threads)
        name = main_signature(self._functions.signatures)
        assert name is not None  # noqa: S101  one without a signature is not loaded
        self._name = name
        self._signature = self._functions.signatures[self._name].signature

    @property
    def signature(self) -> Signature:
        return self._signature

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        wanted = [spec.name for spec in self._signature.outputs]
        return self._functions.run(self._name, check_inputs(self._signature, inputs), wanted)
