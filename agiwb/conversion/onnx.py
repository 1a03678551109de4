"""Writing ONNX, with names, dimensions and metadata that say what they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.conversion.contents import all_nodes
from agiwb.conversion.exported import saved_model_of
from agiwb.conversion.lifted_graph import LiftedGraph, lifted_graph
from agiwb.conversion.lifted_weight import Weight
from agiwb.conversion.onnx_file import write_onnx_file
from agiwb.conversion.onnx_from_litert import onnx_from_litert
from agiwb.conversion.onnx_weights import take_weights
from agiwb.conversion.source import ConversionSource
from agiwb.conversion.translated import translated
from agiwb.conversion.ways_out import without_operators

if TYPE_CHECKING:
    import onnx

BATCH = "batch"

_OWN_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}


def write_onnx(source: ConversionSource, folder: Path) -> None:
    """Write ``model.onnx`` into ``folder``, with the source's names of inputs and outputs.

    The first dimension of all of them is free and called ``batch``, unless a LiteRT file has it
    fixed; other free ones are called ``<name>_<axis>``. The metadata hold ``classes`` (a JSON
    list), ``source_sha256``, and ``preprocessing`` (what the callers have to do) if there is any.
    Weights that together are too large for one file lie in ``model.onnx.data``.

    Raises:
        WorkError: The model needs an operator that ONNX does not have; or see ``onnx_from_litert``.
    """
    import onnx

    if source.format == "litert" and source.folder is not None:
        model = onnx_from_litert(source.folder, source.options.opset)
        _require_known_operators(model, source)
        onnx.checker.check_model(model)
        _write(model, [], source, folder)
        return
    with saved_model_of(source) as saved_model:
        lifted = lifted_graph(saved_model)
        model = _translated(lifted, source.options.opset)
        _require_known_operators(model, source)
        _put_in_order(model.graph.input, source)
        _complete_shapes(model.graph.output, source)
        onnx.checker.check_model(model)
        weights = take_weights(model, lifted.weights)
        _free_batch(model)
        _write(model, weights, source, folder)


def _write(
    model: onnx.ModelProto, weights: Sequence[Weight], source: ConversionSource, folder: Path
) -> None:
    """Write a translated model with its metadata, and the weights that were lifted out of it."""
    import onnx

    _name_dimensions(model)
    model.graph.name = "model" if source.model is None else source.model.name
    about = {"classes": json.dumps(source.classes), "source_sha256": source.sha256}
    if source.preprocessing is not None:
        about["preprocessing"] = source.preprocessing.model_dump_json()
    onnx.helper.set_model_props(model, about)
    path = folder / MODEL_FILES["onnx"]
    write_onnx_file(path, model, weights, source.options.external_data_bytes)


def _translated(lifted: LiftedGraph, opset: int) -> onnx.ModelProto:
    """Return the graph as ONNX; the weights that were lifted out of it are inputs."""
    return translated(
        lifted.definition,
        opset=opset,
        input_names=[*lifted.inputs, *lifted.weights],
        output_names=lifted.outputs,
        initialized_tables=lifted.tables,
        tensors_to_rename=lifted.names,
    )


def _require_known_operators(model: onnx.ModelProto, source: ConversionSource) -> None:
    """Raise WorkError that names the operators which are still TensorFlow's."""
    import onnx

    versions = {entry.domain: entry.version for entry in model.opset_import}
    unknown = []
    for node in all_nodes(model.graph):
        if node.domain in _OWN_DOMAINS:
            schema = onnx.defs.has(node.op_type, versions.get(node.domain, 1), node.domain)
            unknown += [] if schema else [node.op_type]
    if unknown:
        raise without_operators("ONNX", sorted(set(unknown)), source)


def _put_in_order(values: Any, source: ConversionSource) -> None:
    """Order the inputs as the model has them; tf2onnx sorts them by name."""
    if source.named is None:
        return
    order = {tensor.name: place for place, tensor in enumerate(source.named.inputs)}
    ordered = sorted(values, key=lambda value: order.get(value.name, len(order)))
    del values[:]
    values.extend(ordered)


def _complete_shapes(values: Any, source: ConversionSource) -> None:
    """Give outputs their shapes: none is inferred through a lookup of strings."""
    if source.named is None:
        return
    shapes = {name: tensor.shape for name, tensor in source.named.output.items()}
    for value in values:
        kind = value.type.tensor_type
        if not kind.HasField("shape"):
            for size in shapes[value.name]:
                kind.shape.dim.add(**({} if size is None else {"dim_value": size}))


def _free_batch(model: onnx.ModelProto) -> None:
    """Have the first size of all that goes in and comes out be free: tf2onnx may infer a 1."""
    for value in (*model.graph.input, *model.graph.output):
        for size in value.type.tensor_type.shape.dim[:1]:
            size.dim_param = BATCH


def _name_dimensions(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if not size.HasField("dim_value") or size.dim_value < 0:
                size.dim_param = f"{value.name}_{axis}" if axis else BATCH
