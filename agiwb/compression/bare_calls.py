"""The bare inference of a file: everything bound beforehand, so that a call is the model alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.native_chatter import held_back

Call = Callable[[], Any]

_BOUND_KINDS = "fiub"


def open_call(path: Path, batch: NDArray[Any]) -> Call:
    """Return a function that runs the file on ``batch``, on the calling thread alone.

    Args:
        path: A ``.tflite`` or ``.onnx`` file with one input.
        batch: Real examples, ``(examples, *feature_shape)``, cast to what the file takes. If it
            takes only one example at a time, a call runs it as often as there are examples.
    """
    opener = _open_onnx if path.suffix == ".onnx" else _open_litert
    try:
        call = opener(path, batch)
        call()
    except Exception:  # each runtime refuses a batch with errors of its own, which share no base
        if len(batch) == 1:
            raise
        single, times = opener(path, batch[:1]), range(len(batch))
        single()
        return lambda: [single() for _ in times]
    return call


def _open_litert(path: Path, batch: NDArray[Any]) -> Call:
    from ai_edge_litert.interpreter import Interpreter

    with held_back():  # it announces the delegate that computes
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        taken = interpreter.get_input_details()[0]
        interpreter.resize_tensor_input(taken["index"], batch.shape)  # free sizes are 1 until told
        interpreter.allocate_tensors()
    interpreter.set_tensor(taken["index"], batch.astype(taken["dtype"]))
    call: Call = interpreter.invoke
    return call


def _open_onnx(path: Path, batch: NDArray[Any]) -> Call:
    from agiwb.runtimes.onnx import OnnxRuntime

    runtime = OnnxRuntime(path, 1)
    taken = runtime.signature.inputs[0]
    array = np.ascontiguousarray(batch.astype(taken.dtype))
    session = runtime.session
    if array.dtype.kind not in _BOUND_KINDS:
        return lambda: session.run(None, {taken.name: array})  # texts cannot be bound
    answers = session.run(None, {taken.name: array})
    binding = session.io_binding()
    binding.bind_input(taken.name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    for spec, given in zip(runtime.signature.outputs, answers, strict=True):
        binding.bind_output(spec.name, "cpu", 0, given.dtype.type, given.shape, given.ctypes.data)
    run = session._sess.run_with_iobinding  # noqa: SLF001  its wrapper costs 2 us
    bound = binding._iobinding  # noqa: SLF001  as above

    def call(_buffers: tuple[Any, ...] = (binding, array, answers)) -> None:
        run(bound, None)  # it writes into arrays that the default argument keeps alive

    return call
