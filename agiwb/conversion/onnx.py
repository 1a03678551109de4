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
from agiwb.conversion.exported import saved_model_of, signature_in
from agiwb.conversion.onnx_operators import register_operators
from agiwb.conversion.source import ConversionSource
from agiwb.conversion.ways_out import without_operators

if TYPE_CHECKING:
    import onnx

BATCH = "batch"

_OWN_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
_BYTES_APART = 1024
"""Smaller tensors stay in the model file, where shape inference can read them."""


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
        model, apart = _translated(saved_model, source)
    _require_known_operators(model, source)
    _put_in_order(model.graph.input, source)
    _complete_shapes(model.graph.output, source)
    _name_dimensions(model)
    model.graph.name = "model" if source.model is None else source.model.name
    about = {"classes": json.dumps(source.classes), "source_sha256": source.sha256}
    if source.preprocessing is not None:
        about["preprocessing"] = source.preprocessing.model_dump_json()
    onnx.helper.set_model_props(model, about)
    path = folder / MODEL_FILES["onnx"]
    if apart is None:
        onnx.checker.check_model(model)
        onnx.save(model, path)
        return
    _fill_in(model, apart)
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        location=f"{path.name}.data",
        size_threshold=_BYTES_APART,
    )
    onnx.checker.check_model(path)


def _translated(saved_model: Path, source: ConversionSource) -> tuple[onnx.ModelProto, Any]:
    """Return the SavedModel as ONNX, and the store of its weights if they do not fit into it."""
    # What tf2onnx' own command calls: its public functions lose the tables of string lookups.
    from keras.src.export.tf2onnx_lib import patch_tf2onnx
    from tf2onnx import tf_loader
    from tf2onnx.convert import _convert_common

    large = _weight_bytes(saved_model) > source.options.external_data_bytes
    logger = logging.getLogger("tf2onnx")
    # Operators it cannot translate are logged and left in; they are found below.
    logger.setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), _frugal_optimizers() as optimizers:
        warnings.simplefilter("ignore")  # tf2onnx asks NumPy for names that are gone
        patch_tf2onnx()
        register_operators()
        graph, inputs, outputs, tables, names = tf_loader.from_saved_model(
            str(saved_model),
            None,
            None,
            tag=["serve"],
            signatures=[signature_in(saved_model)],
            large_model=large,
            return_initialized_tables=True,
            return_tensors_to_rename=True,
        )
        model, store = _convert_common(
            graph,
            name=saved_model.name,
            large_model=large,
            opset=source.options.opset,
            input_names=inputs,
            output_names=outputs,
            initialized_tables=tables,
            tensors_to_rename=names,
            optimizers=optimizers,
        )
    _drop_unused_domains(model)
    return model, store


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


def _weight_bytes(saved_model: Path) -> int:
    return sum(path.stat().st_size for path in (saved_model / "variables").glob("variables.data*"))


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


def _fill_in(model: onnx.ModelProto, store: Any) -> None:
    """Give the initializers the bytes that tf2onnx kept beside them."""
    for tensor in model.graph.initializer:
        place = {entry.key: entry.value for entry in tensor.external_data}.get("location")
        if place is not None:
            tensor.raw_data = store.name_to_tensor_data.pop(place)
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
