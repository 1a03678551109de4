"""What tf2onnx makes of a graph, with no more memory than it needs."""

from __future__ import annotations

import contextlib
import gc
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from agiwb.conversion.contents import all_nodes
from agiwb.conversion.onnx_operators import register_operators

if TYPE_CHECKING:
    import onnx


def translated(definition: Any, **arguments: Any) -> onnx.ModelProto:
    """Return a graph as ONNX; operators that cannot be translated are left in.

    Args:
        definition: TensorFlow's GraphDef; None if ``tflite_path`` is among the arguments.
        arguments: Of tf2onnx' ``process_tf_graph``.
    """
    # What tf2onnx' own command calls: its public functions lose the tables of string lookups.
    from keras.src.export.tf2onnx_lib import patch_tf2onnx
    from tf2onnx.convert import _convert_common

    # What it cannot translate is logged.
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), _frugal_optimizers() as optimizers:
        warnings.simplefilter("ignore")  # tf2onnx asks NumPy for names that are gone
        patch_tf2onnx()
        register_operators()
        model, _ = _convert_common(definition, optimizers=optimizers, **arguments)
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


def _drop_unused_domains(model: onnx.ModelProto) -> None:
    used = {node.domain for node in all_nodes(model.graph)}
    kept = [entry for entry in model.opset_import if entry.domain in used | {""}]
    del model.opset_import[:]
    model.opset_import.extend(kept)
