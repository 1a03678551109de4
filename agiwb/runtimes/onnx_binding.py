"""Running one ONNX session with buffers that are bound once and used again.

Most of what a small model costs in ``session.run`` is ONNX Runtime's wrapping of arrays, not the
model: 64-128-10 at batch 1 took 13 us there and 7 us with bound buffers. What is gained is a
few microseconds a call, so that only small batches are bound.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature
from agiwb.runtimes.runtime import Tensors

_MOST_BYTES = 1 << 16
"""Copying more than this in and out costs about as much as the binding wins."""
_MOST_SHAPES = 16
"""Batch sizes for which one thread keeps buffers."""
_BOUND_KINDS = "fiub"


@dataclass(frozen=True, slots=True)
class _Bound:
    """A binding with its input and output buffers, in the signature's order."""

    binding: Any
    inputs: tuple[NDArray[Any], ...]
    outputs: tuple[NDArray[Any], ...]


class OnnxBindings:
    """The bindings of one session: a few batch sizes for each thread that asks.

    Thread safety: every thread has buffers of its own, so nothing is locked.
    """

    def __init__(self, session: Any, signature: Signature) -> None:
        """Find out whether the sizes of the outputs follow from those of the inputs."""
        self._session = session
        self._run = session._sess.run_with_iobinding  # noqa: SLF001  its wrapper costs 2 us
        self._signature = signature
        self._output_names = tuple(spec.name for spec in signature.outputs)
        self._output_sizes = _follow(session)
        self._of_thread = threading.local()

    @property
    def possible(self) -> bool:
        """Whether ``run`` may be called."""
        return self._output_sizes is not None

    def give_up(self) -> None:
        """Bind no more: the file's named dimensions have proved wrong."""
        self._output_sizes = None

    def run(self, arrays: Sequence[NDArray[Any]]) -> Tensors | None:
        """Return the outputs for inputs that fit the signature exactly, in its order.

        Returns None if the batch is better given to ``session.run``: it is large, empty, or has
        one shape too many.

        Raises:
            RuntimeError: The model refuses the batch, or gives other shapes than its file says.
        """
        shapes = tuple([array.shape for array in arrays])
        try:
            bound = self._of_thread.by_shapes.get(shapes, False)
        except AttributeError:  # this thread's first run
            self._of_thread.by_shapes = {}
            bound = False
        if bound is False:
            bound = self._bind(shapes)
        if bound is None:
            return None
        for buffer, array in zip(bound.inputs, arrays, strict=True):
            buffer[...] = array
        self._run(bound.binding, None)
        # The buffers are written again by the next run; the answers are the caller's.
        return {
            name: buffer.copy()
            for name, buffer in zip(self._output_names, bound.outputs, strict=True)
        }

    def _bind(self, shapes: tuple[tuple[int, ...], ...]) -> _Bound | None:
        by_shapes = self._of_thread.by_shapes
        if len(by_shapes) >= _MOST_SHAPES:
            return None
        bound = by_shapes[shapes] = self._bound(shapes)
        return bound

    def _bound(self, shapes: tuple[tuple[int, ...], ...]) -> _Bound | None:
        sizes = self._output_sizes
        if sizes is None:
            return None
        inputs = tuple(
            np.zeros(shape, spec.dtype)
            for shape, spec in zip(shapes, self._signature.inputs, strict=True)
        )
        outputs = tuple(
            np.zeros([_size(shapes, source) for source in sources], spec.dtype)
            for sources, spec in zip(sizes, self._signature.outputs, strict=True)
        )
        total = sum(array.nbytes for array in (*inputs, *outputs))
        if total > _MOST_BYTES or any(array.size == 0 for array in (*inputs, *outputs)):
            return None
        binding = self._session.io_binding()
        for spec, array in zip(self._signature.inputs, inputs, strict=True):
            binding.bind_input(
                spec.name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data
            )
        for spec, array in zip(self._signature.outputs, outputs, strict=True):
            binding.bind_output(
                spec.name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data
            )
        return _Bound(binding._iobinding, inputs, outputs)  # noqa: SLF001  as above


_Source = int | tuple[int, int]
"""Where an output's size comes from: a number, or (which input, which dimension)."""


def _follow(session: Any) -> tuple[tuple[_Source, ...], ...] | None:
    """Return each output's sizes by where they come from; None if one cannot be foretold."""
    arguments = [*session.get_inputs(), *session.get_outputs()]
    if any(np.dtype(_numpy_name(entry.type)).kind not in _BOUND_KINDS for entry in arguments):
        return None
    named: dict[str, tuple[int, int]] = {}
    for place, entry in enumerate(session.get_inputs()):
        for dimension, size in enumerate(entry.shape):
            if isinstance(size, str):
                named.setdefault(size, (place, dimension))
    found = []
    for entry in session.get_outputs():
        sources = [size if isinstance(size, int) else named.get(size) for size in entry.shape]
        if None in sources:
            return None
        found.append(tuple(source for source in sources if source is not None))
    return tuple(found)


def _numpy_name(kind: str) -> str:
    """Return NumPy's name of a type written ``tensor(float)``; "object" for what is not bound."""
    element = kind.removeprefix("tensor(").removesuffix(")")
    named = {"float": "float32", "double": "float64"}.get(element, element)
    return named if named in np.sctypeDict else "object"


def _size(shapes: Sequence[Sequence[int]], source: _Source) -> int:
    return source if isinstance(source, int) else shapes[source[0]][source[1]]
