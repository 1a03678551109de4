"""Writing LiteRT (``.tflite``) from built-in operators alone."""

from __future__ import annotations

import re
from pathlib import Path

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.conversion.source import ConversionSource
from agiwb.errors import WorkError
from agiwb.tensorflow_quietly import import_tensorflow

_MISSING = re.compile(r"^(?:Custom|Flex) ops: (.+)$", re.MULTILINE)


def write_litert(source: ConversionSource, folder: Path) -> None:
    """Write ``model.tflite`` into ``folder``; its signature is called ``serving_default``.

    Left to itself, Keras' exporter would let in TensorFlow's own operators (Flex); such a file
    loads only where TensorFlow is.

    Raises:
        WorkError: The model needs an operator that is not built in.
    """
    tf = import_tensorflow()
    try:
        source.named.export(
            folder / MODEL_FILES["litert"],
            format="litert",
            target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
            verbose=False,
        )
    except Exception as error:
        # The converter's own class is private, and its message is the whole graph.
        if (missing := _MISSING.search(str(error))) is None:
            raise
        raise WorkError(f"LiteRT has no built-in operator for {missing[1]}.") from error
