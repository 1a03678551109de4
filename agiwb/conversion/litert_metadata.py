"""What a ``.tflite`` file gets once it is converted: large weights, and what it says of itself."""

from __future__ import annotations

import json

import numpy as np

from agiwb.conversion.lifted_weight import Weight
from agiwb.conversion.litert_weights import put_in
from agiwb.conversion.source import ConversionSource
from agiwb.errors import WorkError

METADATA_NAME = "agiwb"
"""Name of the entry; its buffer is JSON in UTF-8."""

_IDENTIFIER = b"TFL3"
_ROOM = 1 << 16
_MOST_BYTES = 2**31 - 2**20
"""Offsets in a flatbuffer have 31 bits."""


def completed(content: bytes, weights: list[Weight], source: ConversionSource) -> memoryview:
    """Return a ``.tflite`` file's content with its ``weights`` and an entry ``agiwb`` of metadata.

    It is JSON with ``classes``, ``source_sha256`` and, if callers have something to do first,
    ``preprocessing``. Interpreters ignore entries they do not know.

    Raises:
        WorkError: The file would be larger than its format allows.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    about: dict[str, object] = {"classes": source.classes, "source_sha256": source.sha256}
    if source.preprocessing is not None:
        about["preprocessing"] = source.preprocessing.model_dump()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    size = len(content) + put_in(model, weights) + _ROOM
    if size > _MOST_BYTES:
        raise WorkError(
            f"The weights take {size / 2**30:.1f} GiB, and a LiteRT file holds 2.",
            "Use onnx or saved_model, which have no such limit.",
        )
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(json.dumps(about).encode(), np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA_NAME, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    # Room for all of it: a builder that is full doubles.
    builder = flatbuffers.Builder(size + len(buffer.data))
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return memoryview(builder.Bytes)[builder.Head() :]  # its own output is a copy


def read_metadata(content: bytes) -> dict[str, object]:
    """Return what ``completed`` wrote into a file's content; nothing if it did not."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry is not None and entry.Name() == METADATA_NAME.encode():
            about: dict[str, object] = json.loads(
                bytes(model.Buffers(entry.Buffer()).DataAsNumpy())
            )
            return about
    return {}
