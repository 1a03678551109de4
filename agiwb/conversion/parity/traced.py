"""What an artifact computes on the way to its answers: the tensors between its operators.

Runs in a fresh process. Tensors keep the names that the converter gave them, which hold the names
of the layers they come from; a fused operator's hold several.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from agiwb.artifacts.manifest import MODEL_FILES, Format, format_of
from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.conversion.exported import frozen_function
from agiwb.conversion.parity.asked import named_as_taken
from agiwb.conversion.parity.tensor_file import read_cases, write_cases
from agiwb.runtimes.runtime import Tensors, open_runtime
from agiwb.tensorflow_quietly import import_tensorflow

TRACEABLE: frozenset[Format] = frozenset(
    {
        *("keras", "h5", "saved_model", "frozen_pb", "onnx", "onnx_float16"),
        *("litert", "litert_float16", "litert_dynamic", "litert_int8", "litert_int16x8"),
    }
)


OUTPUT = "output "
"""Begins the names of the artifact's outputs, which have lost those of their layers."""


def trace_file(folder: str, questions: str, answers: str) -> int:
    """Write all float tensors that come of each case, in the order of computation.

    Args:
        folder: Of an artifact in a format of TRACEABLE.
        questions: File of ``write_cases``.
        answers: File to be written in the same way; the outputs' names are the tensors'.

    Returns:
        How many tensors there are.
    """
    place = Path(folder)
    kind = format_of(place)
    path = place / MODEL_FILES[kind]
    trace = _TRACES[kind.split("_")[0]]
    runtime = open_runtime(place)
    cases = {}
    for case, inputs in read_cases(Path(questions)).items():
        taken = named_as_taken(inputs, runtime.signature)
        results = {f"{OUTPUT}{name}": value for name, value in runtime.run(taken).items()}
        cases[case] = {**trace(path, taken), **_floats(results)}
    write_cases(Path(answers), cases)
    return max(len(tensors) for tensors in cases.values())


def _onnx(path: Path, inputs: Tensors) -> Tensors:
    import onnx
    import onnxruntime

    model = onnx.load(path)
    known = {value.name for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name]
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in known
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found = dict(zip(names, session.run(names, inputs), strict=True))
    return _floats(found)


def _litert(path: Path, inputs: Tensors) -> Tensors:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(path),
        experimental_preserve_all_tensors=True,
        # A delegate computes several operators as one, and keeps none of what is between them.
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    places = _litert_inputs(interpreter)
    for name, array in inputs.items():
        interpreter.resize_tensor_input(places[name]["index"], array.shape)
    interpreter.allocate_tensors()
    for name, array in inputs.items():
        interpreter.set_tensor(places[name]["index"], _quantised(array, places[name]))
    interpreter.invoke()
    found: Tensors = {}
    for operator in interpreter._get_ops_details():  # noqa: SLF001  the order of computation
        for index in operator["outputs"]:
            details = interpreter._get_tensor_details(int(index), 0)  # noqa: SLF001
            try:
                value = interpreter.get_tensor(int(index))
            except ValueError:  # a tensor that this batch did not need
                continue
            found[details["name"]] = _real(value, details)
    return _floats(found)


def _litert_inputs(interpreter: Any) -> dict[str, dict[str, Any]]:
    """Return the inputs by the names that the artifact's runtime uses."""
    signatures = interpreter.get_signature_list()
    by_index = {entry["index"]: entry for entry in interpreter.get_input_details()}
    if not signatures:
        return {entry["name"]: entry for entry in by_index.values()}
    key = SIGNATURE_NAME if SIGNATURE_NAME in signatures else next(iter(signatures))
    details: dict[str, dict[str, Any]] = interpreter.get_signature_runner(key).get_input_details()
    return {name: by_index[entry["index"]] for name, entry in details.items()}


def _quantised(array: Any, details: dict[str, Any]) -> Any:
    scale, zero_point = details["quantization"]
    if not scale:
        return array.astype(details["dtype"], copy=False)
    limits = np.iinfo(details["dtype"])
    steps = np.round(array / scale) + zero_point
    return np.clip(steps, limits.min, limits.max).astype(details["dtype"])


def _real(array: Any, details: dict[str, Any]) -> Any:
    scale, zero_point = details["quantization"]
    return (array.astype(np.float32) - zero_point) * np.float32(scale) if scale else array


def _keras(path: Path, inputs: Tensors) -> Tensors:
    import_tensorflow()
    import keras

    from agiwb.models.loading import load_keras_model

    model = load_keras_model(path)
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    inner = keras.Model(model.inputs, [layer.output for layer in layers])
    given = [keras.ops.convert_to_tensor(inputs[tensor.name]) for tensor in model.inputs]
    answers = inner(given, training=False)
    return _floats({layer.name: np.asarray(keras.tree.flatten(answer)[0])
                    for layer, answer in zip(layers, answers, strict=True)})  # fmt: skip


def _saved_model(path: Path, inputs: Tensors) -> Tensors:
    function, _, _ = frozen_function(path.parent)
    return _inside(function, inputs)


def _frozen(path: Path, inputs: Tensors) -> Tensors:
    from agiwb.runtimes.frozen_pb import import_graph

    return _inside(import_graph(path), inputs)


def _inside(function: Any, inputs: Tensors) -> Tensors:
    """Return all float tensors of a frozen graph whose inputs bear the names of ``inputs``."""
    tf = import_tensorflow()
    operations = function.graph.get_operations()
    looping = _looping(operations)
    wanted = [
        operation.outputs[0]
        for operation in operations
        if operation not in looping
        and operation.type not in {"Const", "Placeholder"}
        and operation.outputs
        and operation.outputs[0].dtype.is_floating
    ]
    places = [function.graph.get_tensor_by_name(f"{name}:0") for name in inputs]
    values = function.prune(places, wanted)(*(tf.constant(value) for value in inputs.values()))
    names = [tensor.op.name for tensor in wanted]
    return {name: value.numpy() for name, value in zip(names, values, strict=True)}


def _looping(operations: list[Any]) -> set[Any]:
    """Return the operations inside loops: they have a value in each turn, and none to ask for."""
    found = {operation for operation in operations if operation.type == "Enter"}
    ahead = list(found)
    while ahead:
        after = {user for tensor in ahead.pop().outputs for user in tensor.consumers()}
        new = {operation for operation in after - found if operation.type != "Exit"}
        found |= new
        ahead.extend(new)
    return found


_TRACES = {
    "keras": _keras,
    "h5": _keras,
    "onnx": _onnx,
    "litert": _litert,
    "saved": _saved_model,
    "frozen": _frozen,
}
"""By the first word of the format."""


def _floats(tensors: Tensors) -> Tensors:
    return {
        name: np.asarray(array, np.float32)
        for name, array in tensors.items()
        if array.dtype.kind == "f"
    }
