"""What a conversion may be asked for beyond the format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OLDEST_OPSET, NEWEST_OPSET = 13, 18
"""ONNX' operator sets that can be written: tf2onnx knows none newer than 18, and in those before
13 a tensor's quantization has no axis."""

MOST_WARM_UP_REQUESTS = 1000
"""TensorFlow Serving refuses to load a model with more."""

Interface = Literal["float", "integer"]
"""What goes into and comes out of an integer model: float32, or the integers it computes with."""


@dataclass(frozen=True)
class ConversionOptions:
    """How the converters write; each looks only at what concerns its format.

    Attributes:
        opset: ONNX' operator set, 13 to 18.
        interface: Of ``litert_int8`` and ``litert_int16x8``.
        allow_flex: Let TensorFlow's own operators into LiteRT files where LiteRT has none; such a
            file needs TensorFlow wherever it runs.
        example_signatures: Give a SavedModel signatures over ``tf.Example`` as well.
        warm_up: Requests to record in a SavedModel, which a server runs when it loads it.
        external_data_bytes: ONNX' weights of more bytes lie in a file beside the model. A protobuf
            file cannot hold 2 GiB.
    """

    opset: int = NEWEST_OPSET
    interface: Interface = "float"
    allow_flex: bool = False
    example_signatures: bool = False
    warm_up: int = 0
    external_data_bytes: int = 1_800_000_000
