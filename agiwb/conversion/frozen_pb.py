"""Writing a frozen graph: one file, for programs that read TensorFlow 1 graphs (OpenCV, C++)."""

from __future__ import annotations

from pathlib import Path

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.conversion.exported import frozen_function, saved_model_of
from agiwb.conversion.source import ConversionSource
from agiwb.conversion.ways_out import without_operators
from agiwb.tensorflow_quietly import import_tensorflow


def write_frozen_pb(source: ConversionSource, folder: Path) -> None:
    """Write ``frozen.pb`` into ``folder``; its operations are called as inputs and outputs are.

    Raises:
        WorkError: The model looks strings up in a table, which a frozen graph cannot hold.
    """
    tf = import_tensorflow()
    with saved_model_of(source) as saved_model:
        frozen, inputs, outputs = frozen_function(saved_model)
    definition = frozen.graph.as_graph_def()
    if any(tensor.dtype.name == "resource" for tensor in frozen.inputs):
        tables = sorted({node.op for node in definition.node if "LookupTable" in node.op})
        raise without_operators("A frozen graph", tables or ["a resource"], source)
    # Nothing else refers to the results, so they are free to be renamed.
    results = [tensor.op.name for tensor in frozen.outputs]
    renamed = dict(zip(results, outputs, strict=True))
    for node in definition.node:
        node.name = renamed.get(node.name, node.name)
    # What is left of loops besides would look like further results.
    definition = tf.compat.v1.graph_util.extract_sub_graph(definition, [*inputs, *outputs])
    (folder / MODEL_FILES["frozen_pb"]).write_bytes(definition.SerializeToString())
