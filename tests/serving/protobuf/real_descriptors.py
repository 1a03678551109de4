"""Descriptors that other packages were generated with, read in a process of their own.

TensorFlow's generated modules need the package ``tensorflow``, which takes long to import; an empty
one that only says where its parts are does as well.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

_PRINT = """
import importlib, sys, types
where, *modules = sys.argv[1:]
package = types.ModuleType("tensorflow")
package.__path__ = [where]
sys.modules["tensorflow"] = package
from google.protobuf.descriptor_pb2 import FileDescriptorSet
files, seen = FileDescriptorSet(), set()
def add(file):
    if file.name not in seen:
        seen.add(file.name)
        for other in file.dependencies:
            add(other)
        file.CopyToProto(files.file.add())
for module in modules:
    add(importlib.import_module(module).DESCRIPTOR)
sys.stdout.buffer.write(files.SerializeToString())
"""


def read_descriptors(*modules: str, python: Path | str = sys.executable) -> DescriptorPool:
    """Return a pool with what the generated ``modules`` describe, as ``python`` has them."""
    tensorflow = Path(importlib.util.find_spec("tensorflow").origin).parent
    printed = subprocess.run(
        [python, "-c", _PRINT, tensorflow, *modules], capture_output=True, timeout=60, check=True
    )
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(printed.stdout).file:
        pool.Add(file)
    return pool


def fields_of(message) -> dict[str, tuple]:
    """Return of each field what counts on the wire: its number, type, label and oneof."""
    described = {}
    for field in message.fields:
        of = field.message_type or field.enum_type
        described[field.name] = (
            field.number,
            field.type,
            field.is_repeated,
            of.full_name if of else None,
            field.containing_oneof.name if field.containing_oneof else None,
            field.is_packed,
        )
    return described
