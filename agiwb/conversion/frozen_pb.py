"""Writing a frozen graph: one file, for programs that read TensorFlow 1 graphs (OpenCV, C++)."""

from __future__ import annotations

from pathlib import Path

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.artifacts.signature import INPUT_NAME, OUTPUT_NAME
from agiwb.conversion.source import ConversionSource
from agiwb.tensorflow_quietly import import_tensorflow


def write_frozen_pb(source: ConversionSource, folder: Path) -> None:
    """Write ``frozen.pb`` into ``folder``, from the operation ``features`` to ``probabilities``."""
    tf = import_tensorflow()
    # TensorFlow 2 offers no public way to freeze a function; this one is what its converters use.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = source.named
    taken = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype, INPUT_NAME)
    answer = tf.function(lambda features: model(features, training=False)[OUTPUT_NAME])
    frozen = convert_variables_to_constants_v2(answer.get_concrete_function(taken))
    definition = frozen.graph.as_graph_def()
    result = frozen.outputs[0].op.name
    for node in definition.node:
        if node.name == result:  # nothing else refers to the result, so it is free to be renamed
            node.name = OUTPUT_NAME
    (folder / MODEL_FILES["frozen_pb"]).write_bytes(definition.SerializeToString())
