"""Message classes by name, from a descriptor pool of our own.

TensorFlow registers messages of the same names in protobuf's default pool, and protobuf refuses a
second definition there. In a pool of their own ours never meet TensorFlow's, so both fit in one
process; on the wire they are the same. The descriptors come compiled, from ``wire.binpb``;
``make protos`` makes that file from ``protos/``.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from agiwb.errors import ConfigError, InputError

PROTOS = Path(__file__).parent / "protos"
"""The sources, as compiled by ``make protos``."""
COMPILED = Path(__file__).parent / "wire.binpb"
"""A serialized FileDescriptorSet of the sources and what they import, in order of dependence."""

_building = threading.Lock()


@cache
def message_class(name: str) -> Any:
    """Return the class of the message with the full ``name``.

    A name without a dot is one of ``tensorflow.serving``. Thread-safe; the first call reads the
    descriptors, which takes milliseconds.

    Raises:
        KeyError: There is no such message.
    """
    full_name = name if "." in name else f"tensorflow.serving.{name}"
    descriptor = pool().FindMessageTypeByName(full_name)
    with _building:
        return GetMessageClass(descriptor)


def enum_numbers(name: str) -> dict[str, int]:
    """Return the values of the enum with the full ``name``, such as ``tensorflow.DataType``.

    Raises:
        KeyError: There is no such enum.
    """
    return {value.name: value.number for value in pool().FindEnumTypeByName(name).values}


def parse_message(name: str, data: bytes) -> Any:
    """Return the message of class ``name`` that ``data`` holds.

    Raises:
        InputError: The bytes are none.
    """
    try:
        return message_class(name).FromString(data)
    except DecodeError:
        raise InputError(
            f"The {len(data)} bytes are not a {name.rpartition('.')[2]} message.",
            "Send what the client library serializes.",
        ) from None


def parse_text(name: str, text: str, source: str = "") -> Any:
    """Return the message of class ``name`` that a configuration file in text format describes.

    Args:
        name: The message, such as ``ModelServerConfig``.
        text: The content of the file.
        source: The path, for the error.

    Raises:
        ConfigError: The text is not such a message; the sentence begins as TensorFlow Serving's.
    """
    message = message_class(name)()
    try:
        return text_format.Parse(text, message, descriptor_pool=pool())
    except text_format.ParseError as error:
        where = f" in {source}" if source else ""
        raise ConfigError(
            f"Error parsing text-format {message.DESCRIPTOR.full_name}{where}: {error}.",
            "The numbers before the reason are the line and the column.",
        ) from None


@cache
def pool() -> DescriptorPool:
    """Return the pool that holds every message of ``protos/``."""
    descriptors = DescriptorPool()
    for file in FileDescriptorSet.FromString(COMPILED.read_bytes()).file:
        descriptors.Add(file)  # type: ignore[no-untyped-call, unused-ignore]
    return descriptors
