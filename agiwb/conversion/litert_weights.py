"""A LiteRT file's large weights: the converter does not see them, and they are put in afterwards.

Given them, the converter holds four copies and transposes each; so it takes them as inputs. What it
makes of these are constants then, rearranged as the file's operators want them.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.conversion.lifted_graph import LiftedGraph, lifted_graph
from agiwb.conversion.lifted_weight import Step, Weight
from agiwb.tensorflow_quietly import import_tensorflow

if TYPE_CHECKING:
    from ai_edge_litert import schema_py_generated as schema

LEAST_BYTES = 1 << 27
"""Of weights that are worth it: the converter fuses some operators only with weights it sees."""
_NAME = "agiwb_weight_{}"
_NO_BIAS = -1
_VERSION_WITHOUT_BIAS = 6
_ALIGNMENT = 16
"""Bytes; what the schema demands of buffers."""


@contextlib.contextmanager
def weights_apart(saved_model: Path) -> Iterator[tuple[Path, list[Weight]]]:
    """Yield a SavedModel that takes its large weights as inputs, and these by the inputs' names.

    If they are not large together it is the SavedModel itself, and there are none.
    """
    lifted = lifted_graph(saved_model) if _bytes_of_variables(saved_model) >= LEAST_BYTES else None
    if lifted is None or lifted.tables:
        yield saved_model, []
        return
    with tempfile.TemporaryDirectory(prefix="agiwb-") as folder:
        weights = _save(lifted, Path(folder))
        if sum(weight.nbytes for weight in weights) >= LEAST_BYTES:
            yield Path(folder), weights
        else:
            yield saved_model, []


def _bytes_of_variables(saved_model: Path) -> int:
    return sum(file.stat().st_size for file in (saved_model / "variables").glob("*"))


def _save(lifted: LiftedGraph, folder: Path) -> list[Weight]:
    tf = import_tensorflow()
    called = {tensor: _NAME.format(number) for number, tensor in enumerate(lifted.weights)}
    whole = tf.compat.v1.wrap_function(
        lambda: tf.import_graph_def(lifted.definition, name=""), signature=[]
    )
    tensor = whole.graph.get_tensor_by_name
    taken = [tensor(name) for name in (*lifted.inputs, *lifted.weights)]
    function = whole.prune(taken, [tensor(name) for name in lifted.outputs])
    names = lifted.names | called

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec(t.shape, t.dtype, names[t.name]) for t in taken],
        autograph=False,
    )
    def answer(*values: Any) -> Any:
        return dict(zip(map(names.get, lifted.outputs), function(*values), strict=True))

    tf.saved_model.save(tf.Module(), str(folder), signatures={SIGNATURE_NAME: answer})
    weights = zip(taken[len(lifted.inputs) :], lifted.weights.values(), strict=True)
    return [
        Weight(called[t.name], np.dtype(t.dtype.as_numpy_dtype), tuple(t.shape), values)
        for t, values in weights
    ]


def put_in(model: schema.ModelT, weights: list[Weight]) -> int:
    """Make a converted model's inputs that are weights its constants; return their bytes.

    The values are read when the model is packed, one weight after another.

    Args:
        model: What the converter made of a SavedModel of ``weights_apart``.
        weights: Those of that SavedModel.
    """
    if not weights:
        return 0
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    by_name = {weight.name.encode(): weight for weight in weights}
    found = {
        entry.tensorIndex: by_name[entry.name]
        for entry in signature.inputs
        if entry.name in by_name
    }
    signature.inputs = [entry for entry in signature.inputs if entry.name not in by_name]
    graph.inputs = np.array([index for index in graph.inputs if index not in found], np.int32)
    graph.operators = _rearranged(model, found)
    read = {index for operator in graph.operators for index in operator.inputs}
    read.update(graph.outputs)
    kept = {index: weight for index, weight in found.items() if index in read}
    for index, weight in kept.items():
        graph.tensors[index].buffer = len(model.buffers)
        model.buffers.append(_filled_when_packed(weight))
    return sum(weight.nbytes for weight in kept.values())


def _rearranged(model: schema.ModelT, found: dict[int, Weight]) -> list[schema.OperatorT]:
    """Return the operators without those that only rearrange a weight; ``found`` gains the results.

    A product of batches with one matrix becomes that of a dense layer, as if the converter had seen
    the matrix.
    """
    from ai_edge_litert import schema_py_generated as schema

    kept = []
    transposed: dict[int, int] = {}
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        weight = found.get(operator.inputs[0]) if len(operator.inputs) else None
        if weight is not None and (step := _step(model, operator, kind)) is not None:
            given = operator.outputs[0]
            found[given] = weight.after(step, f"tensor_{given}")
            continue
        kept.append(operator)
        if kind == schema.BuiltinOperator.BATCH_MATMUL and not operator.builtinOptions.adjX:
            left, right = operator.inputs
            if right in found and len(found[right].shape) == 2:  # a matrix
                if not operator.builtinOptions.adjY:
                    if right not in transposed:
                        transposed[right] = _add_transposed(model, found, right)
                    right = transposed[right]
                _make_dense(model, operator, left, right)
    return kept


def _add_transposed(model: schema.ModelT, found: dict[int, Weight], index: int) -> int:
    """Return the index of a new tensor: a matrix with its axes swapped."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = model.subgraphs[0].tensors
    added, like = len(tensors), tensors[index]
    found[added] = found[index].after(np.transpose, f"tensor_{added}")
    tensor = schema.TensorT()
    tensor.name, tensor.type, tensor.hasRank = like.name + b"_transposed", like.type, True
    tensor.shape = np.array(found[added].shape, np.int32)
    tensors.append(tensor)
    return added


def _make_dense(model: schema.ModelT, operator: schema.OperatorT, left: int, right: int) -> None:
    from ai_edge_litert import schema_py_generated as schema

    operator.opcodeIndex = _fully_connected(model)
    operator.inputs = np.array([left, right, _NO_BIAS], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    operator.builtinOptions.keepNumDims = True


def _step(model: schema.ModelT, operator: schema.OperatorT, kind: int) -> Step | None:
    """Return what an operator does to its first input, if it only rearranges it."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    if kind == schema.BuiltinOperator.RESHAPE:
        return partial(_reshaped, shape=tuple(map(int, graph.tensors[operator.outputs[0]].shape)))
    if kind == schema.BuiltinOperator.TRANSPOSE:
        order = model.buffers[graph.tensors[operator.inputs[1]].buffer].data
        if order is not None:
            axes = np.asarray(order, np.uint8).view(np.int32).tolist()
            return partial(np.transpose, axes=axes)
    return None


def _reshaped(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return values.reshape(shape)


def _fully_connected(model: schema.ModelT) -> int:
    """Return the index of the operator of a dense layer in a version that needs no bias."""
    from ai_edge_litert import schema_py_generated as schema

    wanted = (schema.BuiltinOperator.FULLY_CONNECTED, _VERSION_WITHOUT_BIAS)
    for index, code in enumerate(model.operatorCodes):
        if (code.builtinCode, code.version) == wanted:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = wanted[0]
    code.version = wanted[1]
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _filled_when_packed(weight: Weight) -> schema.BufferT:
    from ai_edge_litert import schema_py_generated as schema

    class Filled(schema.BufferT):  # type: ignore[misc]
        """A buffer whose bytes are written where they stay; the builder's own way copies thrice."""

        def Pack(self, builder: Any) -> Any:  # noqa: N802  the schema's name
            builder.StartVector(1, weight.nbytes, _ALIGNMENT)
            builder.head -= weight.nbytes
            place = np.ndarray(weight.shape, weight.dtype, builder.Bytes, builder.Head())
            place[...] = weight.values()
            del place  # the builder may not grow while it is looked into
            builder.vectorNumElems = weight.nbytes
            data = builder.EndVector()
            schema.BufferStart(builder)
            schema.BufferAddData(builder, data)
            return schema.BufferEnd(builder)

    return Filled()
