"""agiwb itself as a wheel that needs only what serving needs.

The installed package's own metadata asks for TensorFlow and a notebook; a server image must not.
The wheel is made from the installed files by the rules of the binary distribution format
(https://packaging.python.org/specifications/binary-distribution-format/), and is the same to the
byte for the same files.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import agiwb
from agiwb.deployment.requirements import Pin
from agiwb.runs.provenance import PACKAGE_FOLDER

_EPOCH = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT = {"__pycache__"}


def build_wheel(folder: Path, pins: Sequence[Pin]) -> Path:
    """Return the wheel of this agiwb, written into ``folder``; it requires ``pins`` exactly."""
    version = agiwb.__version__
    information = f"agiwb-{version}.dist-info"
    files = {
        f"agiwb/{path.relative_to(PACKAGE_FOLDER).as_posix()}": path.read_bytes()
        for path in sorted(PACKAGE_FOLDER.rglob("*"))
        if path.is_file() and not _LEFT_OUT & set(path.parts)
    }
    requires = "".join(f"Requires-Dist: {pin.name}=={pin.version}\n" for pin in pins)
    files[f"{information}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: agiwb\nVersion: {version}\n"
        f"Summary: The serving part of agiwb.\nRequires-Python: >=3.11,<3.12\n{requires}"
    ).encode()
    files[f"{information}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: agiwb\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
    files[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n".encode()
    path = folder / f"agiwb-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return path


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
