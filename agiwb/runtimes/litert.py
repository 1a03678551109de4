"""Running LiteRT (TensorFlow Lite) models on the processor, without TensorFlow."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import SIGNATURE_NAME, Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.native_chatter import held_back
from agiwb.runtimes.checking import check_inputs, unreadable, wanted
from agiwb.runtimes.runtime import Tensors

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

Details = dict[str, Any]
"""What the interpreter says about one tensor."""

_FREE_TOTALS = (1 << 12, 1 << 16)
"""Values along an input's free sizes, as 4096 samples of sound, or images of 64 by 64 pixels."""


class LiteRTRuntime:
    """A loaded ``.tflite`` file; see Runtime for the contract.

    Tensors are named as in the model's ``serving_default`` signature, or in its only one; a model
    without any gives the names of its graph. Where the model takes or gives quantised integers,
    the signature says float32 and ``run`` converts: callers see real values only. ``run`` holds a
    lock, as an interpreter serves one caller at a time; while it computes it holds no GIL, so that
    other models answer meanwhile.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Load the model.

        Raises:
            InputError: The file is not a LiteRT model, or needs operators that are not built in.
        """
        self._path, self._threads = path, threads
        self._lock = threading.Lock()
        try:
            self._runner = _load_runner(path, threads)
            self._inputs = _tensors(self._runner.get_input_details())
            self._outputs = _tensors(self._runner.get_output_details())
        except (ValueError, RuntimeError) as error:
            raise unreadable(path, "a LiteRT", error) from error
        self._signature = Signature(
            inputs=tuple(tensor.spec for tensor in self._inputs.values()),
            outputs=tuple(tensor.spec for tensor in self._outputs.values()),
        )

    @property
    def signature(self) -> Signature:
        """Names, dtypes and shapes of inputs and outputs."""
        return self._signature

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] = ()) -> Tensors:
        """Return the outputs by name for one batch; ``outputs`` names those wanted, if not all.

        Raises:
            InputError: A name, dtype or shape does not fit the signature, or the model itself
                refuses the batch, such as one built for a single example.
        """
        names = wanted(list(self._outputs), outputs)
        checked = check_inputs(self._signature, inputs)
        given = {name: self._inputs[name].quantise(array) for name, array in checked.items()}
        if any(array.size == 0 for array in given.values()):
            return self._nothing(names)
        with self._lock:
            try:
                answers = self._runner(**given)
            except RuntimeError as error:
                # An interpreter's message holds those of all its former errors: start anew.
                self._runner = _load_runner(self._path, self._threads)
                raise InputError(
                    "The model refuses this batch.",
                    "Give one example at a time, or values like those it was trained on.",
                ) from error
        return {name: self._outputs[name].dequantise(answers[name]) for name in names}

    def _nothing(self, names: Sequence[str]) -> Tensors:
        """Return the outputs for no examples, which the interpreter cannot be asked for."""
        return {
            spec.name: np.zeros((0, *(size or 0 for size in spec.shape[1:])), spec.dtype)
            for spec in self._signature.outputs
            if spec.name in names
        }


@dataclass(frozen=True)
class _Tensor:
    """One input or output, and how its stored integers map to real values, if they do.

    A real value is ``scale * (integer - zero_point)`` (Jacob et al., 2018, equation 1).
    """

    spec: TensorSpec
    stored: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0

    def quantise(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return ``array`` as the model stores it; what it cannot hold becomes its nearest."""
        if self.stored.kind == "S":
            return _as_bytes(array)
        if not self.scale:
            return array
        limits = np.iinfo(self.stored)
        steps = np.nan_to_num(np.round(array / self.scale)) + self.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.stored)

    def dequantise(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the real values of an array that the model gave."""
        if not self.scale:
            return array
        return (array.astype(np.float32) - self.zero_point) * np.float32(self.scale)


class _Runner(Protocol):
    """What the interpreter offers for a signature: its tensors by name, and a call."""

    def get_input_details(self) -> dict[str, Details]: ...
    def get_output_details(self) -> dict[str, Details]: ...
    def __call__(self, **inputs: NDArray[Any]) -> Tensors: ...


class _UnnamedRunner:
    """A runner for a model without signatures: its tensors by the names of the graph."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._inputs = {entry["name"]: entry for entry in interpreter.get_input_details()}
        self._outputs = {entry["name"]: entry for entry in interpreter.get_output_details()}

    def get_input_details(self) -> dict[str, Details]:
        """Return the inputs by name."""
        return self._inputs

    def get_output_details(self) -> dict[str, Details]:
        """Return the outputs by name."""
        return self._outputs

    def __call__(self, **inputs: NDArray[Any]) -> Tensors:
        """Return the outputs; the interpreter allocates only when a shape has changed."""
        for name, array in inputs.items():
            self._interpreter.resize_tensor_input(self._inputs[name]["index"], array.shape)
        self._interpreter.allocate_tensors()
        for name, array in inputs.items():
            self._interpreter.set_tensor(self._inputs[name]["index"], array)
        self._interpreter.invoke()
        return {
            name: self._interpreter.get_tensor(entry["index"])
            for name, entry in self._outputs.items()
        }


def _load_runner(path: Path, threads: int) -> _Runner:
    from ai_edge_litert.interpreter import Interpreter

    with held_back():  # it announces the delegate that computes
        interpreter = Interpreter(str(path), num_threads=threads)
        _allocate(interpreter)
    names = list(interpreter.get_signature_list())
    if not names:
        return _UnnamedRunner(interpreter)
    name = SIGNATURE_NAME if SIGNATURE_NAME in names else names[0]
    runner: _Runner = interpreter.get_signature_runner(name)
    return runner


def names_in_graph(path: Path) -> dict[str, str]:
    """Return what the graph of a LiteRT file calls its inputs and outputs, by their names here."""
    runner = _load_runner(path, threads=1)
    details = {**runner.get_input_details(), **runner.get_output_details()}
    return {name: entry["name"] for name, entry in details.items()}


def _allocate(interpreter: Interpreter) -> None:
    """Have the tensors laid out, by which a model that cannot be run is told.

    A free size is 1 in most files, which is too few where a window of many is moved along it:
    larger ones are tried then. Each call of the model lays them out for what it is given.

    Raises:
        RuntimeError, ValueError: The interpreter cannot run the model.
    """
    try:
        interpreter.allocate_tensors()
    except RuntimeError:
        if not any(_allocates_with(interpreter, total) for total in _FREE_TOTALS):
            raise


def _allocates_with(interpreter: Interpreter, total: int) -> bool:
    """Return whether the tensors can be laid out with ``total`` values along the free sizes.

    The first size stays 1: it counts the examples.
    """
    grown = False
    for entry in interpreter.get_input_details():
        sizes = [1 if size < 0 else size for size in entry["shape_signature"]]
        free = [axis for axis, size in enumerate(entry["shape_signature"]) if axis and size < 0]
        for axis in free:
            sizes[axis] = round(total ** (1 / len(free)))
        if free:
            interpreter.resize_tensor_input(entry["index"], sizes)
            grown = True
    try:
        interpreter.allocate_tensors()
    except RuntimeError:
        return False
    return grown


def _tensors(details: dict[str, Details]) -> dict[str, _Tensor]:
    return {name: _tensor(name, entry) for name, entry in details.items()}


def _tensor(name: str, details: Details) -> _Tensor:
    stored = np.dtype(details["dtype"])
    scale, zero_point = details["quantization"]
    quantised = stored.kind in "iu" and scale != 0
    sizes = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    spec = TensorSpec(
        name=name,
        dtype="float32" if quantised else "object" if stored.kind == "S" else stored.name,
        shape=tuple(None if size < 0 else int(size) for size in sizes),
    )
    return _Tensor(spec, stored, scale, zero_point) if quantised else _Tensor(spec, stored)


def _as_bytes(texts: NDArray[Any]) -> NDArray[np.bytes_]:
    """Return texts as the interpreter takes them: bytes, in UTF-8."""
    encoded = [text if isinstance(text, bytes) else str(text).encode() for text in texts.flat]
    return np.array(encoded, np.bytes_).reshape(texts.shape)
