"""Writing ONNX, with names, dimensions and metadata that say what they are."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.conversion.contents import all_nodes
from agiwb.conversion.exported import saved_model_of
from agiwb.conversion.lifted_graph import LiftedGraph, lifted_graph
from agiwb.conversion.onnx_file import write_onnx_file
from agiwb.conversion.onnx_operators import register_operators
from agiwb.conversion.onnx_weights import take_weights
from agiwb.conversion.source import ConversionSource
from agiwb.conversion.ways_out import without_operators

if TYPE_CHECKING:
    import onnx

BATCH = "batch"

_OWN_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}


def write_onnx(source: ConversionSource, folder: Path) -> None:
    """Write ``model.onnx`` into ``folder``, with the source's names of inputs and outputs.

    The first dimension of all of them is free and called ``batch``; other free ones are called
    ``<name>_<axis>``. The metadata hold ``classes`` (a JSON list), ``source_sha256``, and
    ``preprocessing`` (what the callers have to do) if there is any. Weights that together are too
    large for one file lie in ``model.onnx.data``.

    Raises:
        WorkError: The model needs an operator that ONNX does not have.
    """
    import onnx

    with saved_model_of(source) as saved_model:
        lifted = lifted_graph(saved_model)
        model = _translated(lifted, source.options.opset)
        _require_known_operators(model, source)
        _put_in_order(model.graph.input, source)
        _complete_shapes(model.graph.output, source)
        onnx.checker.check_model(model)
        weights = take_weights(model, lifted.weights)
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
    # What tf2onnx' own command calls: its public functions lose the tables of string lookups.
    from keras.src.export.tf2onnx_lib import patch_tf2onnx
    from tf2onnx.convert import _convert_common

    logger = logging.getLogger("tf2onnx")
    # Operators it cannot translate are logged and left in; they are found below.
    logger.setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), _frugal_optimizers() as optimizers:
        warnings.simplefilter("ignore")  # tf2onnx asks NumPy for names that are gone
        patch_tf2onnx()
        register_operators()
        model, _ = _convert_common(
            lifted.definition,
            opset=opset,
            input_names=[*lifted.inputs, *lifted.weights],
            output_names=lifted.outputs,
            initialized_tables=lifted.tables,
            tensors_to_rename=lifted.names,
            optimizers=optimizers,
        )
    _drop_unused_domains(model)
    return model


@contextlib.contextmanager
def _frugal_optimizers() -> Iterator[dict[str, Callable[[], Any]]]:
    """Yield tf2onnx' optimizers, of which each first frees what those before it have left.

    Before each, tf2onnx copies the graph with all its weights. The copies refer to themselves, so
    they would stay until the collector comes by: 8 GB of them for ResNet50, which weighs 0.1.
    """
    from tf2onnx import optimizer

    gc.collect()
    gc.freeze()  # what was there before need not be looked through each time

    def after_collecting(make: Callable[[], Any]) -> Callable[[], Any]:
        def made() -> Any:
            gc.collect()
            return make()

        return made

    known = optimizer._get_optimizers()  # noqa: SLF001
    try:
        yield {name: after_collecting(make) for name, make in known.items()}
    finally:
        gc.unfreeze()


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


def _drop_unused_domains(model: onnx.ModelProto) -> None:
    used = {node.domain for node in all_nodes(model.graph)}
    kept = [entry for entry in model.opset_import if entry.domain in used | {""}]
    del model.opset_import[:]
    model.opset_import.extend(kept)


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


def _name_dimensions(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if axis == 0:
                size.dim_param = BATCH
            elif not size.HasField("dim_value") or size.dim_value < 0:
                size.dim_param = f"{value.name}_{axis}"
