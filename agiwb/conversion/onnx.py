"""Writing ONNX, with names, dimensions and metadata that say what they are."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.conversion.source import ConversionSource

OPSET = 18
"""The newest operator set that Keras' exporter can write."""

BATCH = "batch"


def write_onnx(source: ConversionSource, folder: Path) -> None:
    """Write ``model.onnx`` into ``folder``, from ``features`` to ``probabilities``.

    The first dimension of both is free and called ``batch``. The metadata hold ``classes`` (a JSON
    list) and ``source_sha256``.
    """
    import onnx

    path = folder / MODEL_FILES["onnx"]
    # Operators it cannot translate are logged and left in; the checker below refuses them.
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf2onnx asks NumPy for names that are gone
        # Left to find the inputs itself, the exporter refuses a model that was never called.
        source.named.export(
            path,
            format="onnx",
            input_signature=source.named.inputs,
            opset_version=OPSET,
            verbose=False,
        )
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    model.graph.name = source.model.name
    onnx.helper.set_model_props(
        model, {"classes": json.dumps(source.classes), "source_sha256": source.sha256}
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)
