"""What a ``.tflite`` file says about itself, in its own list of metadata."""

from __future__ import annotations

import json

import numpy as np

from agiwb.conversion.source import ConversionSource

METADATA_NAME = "agiwb"
"""Name of the entry; its buffer is JSON in UTF-8."""

_IDENTIFIER = b"TFL3"
_ROOM = 1 << 16


def with_metadata(content: bytes, source: ConversionSource) -> memoryview:
    """Return a ``.tflite`` file's content with an entry ``agiwb`` among its metadata.

    It is JSON with ``classes``, ``source_sha256`` and, if callers have something to do first,
    ``preprocessing``. Interpreters ignore entries they do not know.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    about: dict[str, object] = {"classes": source.classes, "source_sha256": source.sha256}
    if source.preprocessing is not None:
        about["preprocessing"] = source.preprocessing.model_dump()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(json.dumps(about).encode(), np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA_NAME, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    # Room for all of it: a builder that is full doubles.
    builder = flatbuffers.Builder(len(content) + len(buffer.data) + _ROOM)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return memoryview(builder.Bytes)[builder.Head() :]  # its own output is a copy


def read_metadata(content: bytes) -> dict[str, object]:
    """Return what ``with_metadata`` wrote into a file's content; nothing if it did not."""
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
