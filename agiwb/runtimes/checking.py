"""What the runtimes share: whether arrays fit a model's signature, and errors in one voice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import InputError, did_you_mean
from agiwb.runtimes.runtime import Tensors
from agiwb.tensorflow_quietly import import_tensorflow

_TEXT = "OSU"
"""NumPy's kinds of arrays that may hold text: Python objects, bytes and str."""


class ExactFit:
    """Tells quickly whether a batch needs no casting and no complaint, as most do not.

    Thread safety: it may be asked from any thread.
    """

    def __init__(self, signature: Signature) -> None:
        """Read off what to compare."""
        self._expected = [
            (spec.name, np.dtype(spec.dtype), spec.shape, _sizes_after_the_first(spec))
            for spec in signature.inputs
        ]

    def arrays(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]] | None:
        """Return the arrays in the signature's order, or None if ``check_inputs`` must judge."""
        expected = self._expected
        if len(inputs) != len(expected):
            return None
        found, rows = [], None
        for name, dtype, shape, tail in expected:
            array = inputs.get(name)
            # ``is`` on purpose: equal types that are other objects take the longer way.
            if type(array) is not np.ndarray or array.dtype is not dtype:
                return None
            came = array.shape
            if tail is None or came[1:] != tail or not came:
                if came != shape:
                    return None
            elif rows is None:
                rows = came[0]
            elif rows != came[0]:
                return None
            found.append(array)
        return found


def check_inputs(
    signature: Signature, inputs: Mapping[str, NDArray[Any]], *, shapes: bool = True
) -> Tensors:
    """Return ``inputs`` in the signature's order, each cast to the signature's dtype.

    Integers and floats become floats, and integers other integers if every value fits; a float
    never becomes an integer, nor a truth value a number. Without ``shapes`` only names and types
    are judged, as TensorFlow Serving does: old SavedModels declare shapes that are not theirs.

    Raises:
        InputError: A name is missing or unknown, or a shape, a dtype or a batch size does not
            fit; the message shows the expected signature and what came.
    """
    if inputs.keys() != {spec.name for spec in signature.inputs}:
        raise InputError(
            f"The model expects the inputs {_listing(signature.inputs)}, "
            f"but got {', '.join(map(repr, inputs)) or 'none'}.",
            "Give exactly the inputs of the signature, by name.",
        )
    tensors = {}
    for spec in signature.inputs:
        array = np.asarray(inputs[spec.name])
        if shapes:
            _check_shape(spec, array)
        tensors[spec.name] = _cast(spec, array)
    if shapes:
        _check_batch(signature, tensors)
    return tensors


def wanted(names: Sequence[str], outputs: Sequence[str]) -> list[str]:
    """Return those of ``names`` that ``outputs`` holds, in their own order; all if it is empty.

    Raises:
        InputError: The model has no output of such a name.
    """
    unknown = [name for name in outputs if name not in names]
    if unknown:
        raise InputError(
            f"The model has no output {unknown[0]!r}.", did_you_mean(unknown[0], names)
        )
    return [name for name in names if name in outputs] if outputs else list(names)


def numpy_name(dtype: str) -> str:
    """Return NumPy's name for a dtype of TensorFlow: strings are Python objects there."""
    return "object" if dtype == "string" else dtype


def run_in_order(
    answer: Callable[..., Iterable[Any]], signature: Signature, inputs: Mapping[str, NDArray[Any]]
) -> Tensors:
    """Return the outputs by name of a TensorFlow function whose tensors have only an order.

    Raises:
        InputError: The inputs do not fit the signature.
    """
    tf = import_tensorflow()
    outputs = answer(*map(tf.constant, check_inputs(signature, inputs).values()))
    names = (spec.name for spec in signature.outputs)
    return {name: output.numpy() for name, output in zip(names, outputs, strict=True)}


def unreadable(path: Path, kind: str, error: Exception) -> InputError:
    """Return what to raise where an engine cannot load the file as a model of ``kind``."""
    return InputError(
        f"The file {path} cannot be run as {kind} model: {first_sentence(error)}",
        "If it is damaged, convert the model again with `agiwb convert --fresh`.",
    )


def first_sentence(error: Exception) -> str:
    """Return the first line of an engine's message, with one full stop."""
    return str(error).strip().partition("\n")[0].rstrip(".") + "."


def _sizes_after_the_first(spec: TensorSpec) -> tuple[int | None, ...] | None:
    """Return the sizes within a row if the first one is free and no other, else None."""
    rows, *sizes = spec.shape or (0,)
    return None if rows is not None or None in sizes else tuple(sizes)


def _check_shape(spec: TensorSpec, array: NDArray[Any]) -> None:
    if len(array.shape) != len(spec.shape) or any(
        expected not in {None, size} for expected, size in zip(spec.shape, array.shape, strict=True)
    ):
        raise _misfit(spec, array, "Give an array of that shape; ? stands for any size.")


def _cast(spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    dtype = np.dtype(spec.dtype)
    if array.dtype == dtype:
        return array
    if not _may_become(array.dtype.kind, dtype.kind):
        raise _misfit(
            spec, array, f"Give values of type {'string' if dtype.kind == 'O' else dtype.name}."
        )
    if dtype.kind in "iu" and not _all_within(array, dtype):
        raise _misfit(
            spec, array, f"Some of its values are outside what {dtype.name} holds; scale them."
        )
    with np.errstate(over="ignore"):  # a float64 beyond float32's range becomes infinite
        return array.astype(dtype)


def _may_become(given: str, expected: str) -> bool:
    """Return whether values of NumPy kind ``given`` may be cast to kind ``expected``."""
    if expected in _TEXT:
        return given in _TEXT
    if expected == "f":
        return given in "iuf"
    return given in "iu" if expected in "iu" else given == expected


def _all_within(array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    if array.size == 0:
        return True
    limits = np.iinfo(dtype)
    # Python's integers compare exactly, whatever the two dtypes are.
    return limits.min <= int(array.min()) and int(array.max()) <= limits.max


def _check_batch(signature: Signature, tensors: Tensors) -> None:
    """Raise InputError unless all inputs with a free first dimension have the same size there."""
    batched = [spec.name for spec in signature.inputs if spec.shape and spec.shape[0] is None]
    sizes = {name: tensors[name].shape[0] for name in batched}
    if len(set(sizes.values())) > 1:
        came = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise InputError(
            f"The inputs have different batch sizes ({came}).",
            "Give the same number of examples in each.",
        )


def _misfit(spec: TensorSpec, array: NDArray[Any], fix: str) -> InputError:
    dtype = "object" if array.dtype.kind in _TEXT else array.dtype.name
    came = TensorSpec(name=spec.name, dtype=dtype, shape=array.shape)
    return InputError(f"The model expects {spec}, but got {came}.", fix)


def _listing(specs: Iterable[TensorSpec]) -> str:
    return "; ".join(str(spec) for spec in specs)
