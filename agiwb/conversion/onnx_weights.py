"""Weights of an ONNX model: from inputs of the graph to tensors that the file holds.

What the graph does to a weight before it is used (it is transposed, say) is done here, once, to the
one tensor; the operator is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.conversion.lifted_weight import Step, Weight

if TYPE_CHECKING:
    import onnx


def take_weights(
    model: onnx.ModelProto, variables: Mapping[str, Callable[[], NDArray[Any]]]
) -> list[Weight]:
    """Return the weights that the graph reads, which are its inputs and its operators no more.

    Args:
        model: Its graph's inputs that are named in ``variables`` are removed, with the operators
            that only rearrange them.
        variables: What reads the values, by the input's name.
    """
    import onnx

    graph = model.graph
    fixed = {tensor.name: tensor for tensor in graph.initializer}
    found: dict[str, Weight] = {}
    for entry in graph.input:
        if entry.name in variables:
            kind = entry.type.tensor_type
            found[entry.name] = Weight(
                entry.name,
                onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type),
                tuple(size.dim_value for size in kind.shape.dim),
                variables[entry.name],
            )
    _keep(graph.input, lambda entry: entry.name not in found)
    given = {entry.name for entry in graph.output}
    rearranging = set()
    for node in graph.node:
        weight = found.get(node.input[0]) if node.input else None
        if weight is None or set(node.output) & given:
            continue
        if (step := _step(node, fixed)) is not None:
            rearranging.add(node.output[0])
            found[node.output[0]] = weight.after(step, node.output[0])
    _keep(graph.node, lambda node: not rearranging.intersection(node.output))
    read = _read_in(graph)
    _keep(graph.initializer, lambda tensor: tensor.name in read)
    _keep(graph.value_info, lambda entry: entry.name not in found)
    return [weight for name, weight in found.items() if name in read]


def _keep(entries: Any, wanted: Callable[[Any], bool]) -> None:
    for index in reversed(range(len(entries))):
        if not wanted(entries[index]):
            del entries[index]


def _step(  # noqa: PLR0911  one for each operator
    node: onnx.NodeProto, fixed: Mapping[str, onnx.TensorProto]
) -> Step | None:
    """Return what an operator does to its first input, if it only rearranges it."""
    import onnx

    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    if len(node.output) != 1 or any(name not in fixed for name in node.input[1:]):
        return None
    rest = [onnx.numpy_helper.to_array(fixed[name]).tolist() for name in node.input[1:]]
    match node.op_type:
        case "Identity":
            return np.asarray
        case "Transpose":
            return partial(np.transpose, axes=attributes.get("perm"))
        case "Reshape" if not attributes.get("allowzero"):
            return partial(_reshaped, sizes=rest[0])
        case "Cast":
            return partial(_cast, kind=onnx.helper.tensor_dtype_to_np_dtype(attributes["to"]))
        case "Unsqueeze" | "Squeeze" as name:
            axes = rest[0] if rest else attributes.get("axes")
            change = np.expand_dims if name == "Unsqueeze" else np.squeeze
            return partial(change, axis=None if axes is None else tuple(axes))
    return None


def _reshaped(values: NDArray[Any], sizes: list[int]) -> NDArray[Any]:
    """Reshape as ONNX does: a size of 0 stays as it was."""
    return values.reshape([size or values.shape[axis] for axis, size in enumerate(sizes)])


def _cast(values: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    return values.astype(kind, copy=False)


def _read_in(graph: onnx.GraphProto) -> set[str]:
    """Return the tensors that a graph, and those within its loops and branches, read or give."""
    read = {entry.name for entry in graph.output}
    for node in graph.node:
        read.update(node.input)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                read |= _read_in(attribute.g)
    return read
