"""Running ONNX models on the processor with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.runtimes.checking import ExactFit, check_inputs, first_sentence, unreadable, wanted
from agiwb.runtimes.onnx_binding import OnnxBindings
from agiwb.runtimes.runtime import Tensors

_NUMPY_NAMES = {"float": "float32", "double": "float64", "string": "object"}
"""ONNX Runtime's names of element types, where NumPy's differ."""
_ONLY_ERRORS = 3


class OnnxRuntime:
    """A loaded ``.onnx`` file; see Runtime for the contract.

    A free dimension of the signature is one that the file leaves unknown or gives a name. ``run``
    needs no lock: ONNX Runtime's sessions are thread-safe. Small batches of numbers go through
    buffers that are bound once (see ``onnx_binding``).
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Load the model.

        Raises:
            InputError: The file is not an ONNX model that this machine can run.
        """
        import onnxruntime
        from onnxruntime.capi.onnxruntime_pybind11_state import (
            Fail,
            InvalidArgument,
            RuntimeException,
        )

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ONLY_ERRORS
        # Spinning threads win microseconds of latency and cost a whole core while idle.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
            self._signature = Signature(
                inputs=_specs(self._session.get_inputs()),
                outputs=_specs(self._session.get_outputs()),
            )
        except Exception as error:  # its own exceptions share no other base
            raise unreadable(path, "an ONNX", error) from error
        self._refusals: tuple[type[Exception], ...] = (Fail, InvalidArgument, RuntimeException)
        self._names = [spec.name for spec in self._signature.outputs]
        self._all_names = frozenset(self._names)
        self._exact = ExactFit(self._signature)
        self._takes_text = any(spec.dtype == "object" for spec in self._signature.inputs)
        self._bindings = OnnxBindings(self._session, self._signature)

    @property
    def signature(self) -> Signature:
        """Names, dtypes and shapes of inputs and outputs."""
        return self._signature

    @property
    def session(self) -> Any:
        """ONNX Runtime's own session, for those who bind buffers themselves."""
        return self._session

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] = ()) -> Tensors:
        """Return the outputs by name for one batch; ``outputs`` names those wanted, if not all.

        Raises:
            InputError: A name, dtype or shape does not fit the signature, or the model itself
                refuses the batch, such as an index out of bounds.
        """
        if self._takes_text:
            inputs = {name: _as_text(name, array) for name, array in inputs.items()}
        fitting = self._exact.arrays(inputs)
        if fitting is None:
            inputs = check_inputs(self._signature, inputs)
            fitting = list(inputs.values())
        if outputs and self._all_names != set(outputs):
            return self._run_session(inputs, wanted(self._names, outputs))
        if self._bindings.possible:
            answer = self._run_bound(fitting, inputs)
            if answer is not None:
                return answer
        return self._run_session(inputs, self._names)

    def _run_bound(
        self, arrays: list[NDArray[Any]], inputs: Mapping[str, NDArray[Any]]
    ) -> Tensors | None:
        try:
            return self._bindings.run(arrays)
        except RuntimeError:
            # Either the batch is refused, which the session tells better, or the shapes of the
            # outputs are not what the file says.
            answer = self._run_session(inputs, self._names)
            self._bindings.give_up()
            return answer

    def _run_session(self, inputs: Mapping[str, NDArray[Any]], names: list[str]) -> Tensors:
        try:
            answers = self._session.run(names, inputs)
        except self._refusals as error:
            raise InputError(
                f"The model refuses this batch: {first_sentence(error)}",
                "Give one example at a time, or values like those it was trained on.",
            ) from error
        return dict(zip(names, answers, strict=True))


def _as_text(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return ``array`` with text for bytes, which ONNX Runtime would write out as ``b'...'``."""
    if array.dtype.kind not in "OS":
        return array
    try:
        texts = [entry.decode() if isinstance(entry, bytes) else entry for entry in array.flat]
    except UnicodeDecodeError:
        raise InputError(
            f"The input {name} holds bytes that are not UTF-8, and the model takes text.",
            "Send text.",
        ) from None
    converted = np.empty(len(texts), object)
    converted[:] = texts
    return converted.reshape(array.shape)


def _specs(arguments: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name=entry.name, dtype=_dtype(entry.type), shape=_shape(entry.shape))
        for entry in arguments
    )


def _dtype(kind: str) -> str:
    """Return NumPy's name for a type that ONNX Runtime writes as ``tensor(float)``."""
    element = kind.removeprefix("tensor(").removesuffix(")")
    try:
        return np.dtype(_NUMPY_NAMES.get(element, element)).name
    except TypeError:
        raise TypeError(f"values of type {kind} are not supported.") from None


def _shape(sizes: Sequence[int | str | None]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in sizes)
