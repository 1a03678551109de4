"""What is installed here, what is missing, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agiwb.errors import AgiwbError
from agiwb.runs.provenance import package_versions
from agiwb.runs.store import require_writable
from agiwb.settings import Settings

_ENOUGH_DISK_BYTES = 5 * 2**30
_SERVING_PORT = 8501
# What a processor's flags mean for a compressed model.
_VECTOR_FLAGS = {
    "avx2": "fast float kernels",
    "avx512f": "wider float kernels",
    "avx512_vnni": "fast int8",
    "avx_vnni": "fast int8",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``fix`` is empty if it is well."""

    subject: str
    state: str
    fix: str = ""


def examine() -> int:
    """Print every finding; return 1 if something must be mended, else 0."""
    found = list(findings())
    for finding in found:
        print(f"{'!' if finding.fix else ' '} {finding.subject:<28} {finding.state}")
        if finding.fix:
            print(f"  {'':<28} {finding.fix}")
    return 1 if any(finding.fix for finding in found) else 0


def findings() -> Iterator[Finding]:
    """Yield what matters to agiwb about this machine, nothing of it imported."""
    yield Finding("Python", platform.python_version())
    for name, version in package_versions().items():
        missing = version == "not installed"
        yield Finding(name, version, "Install the pins: `make setup`." if missing else "")
    yield _workspace()
    yield _disk()
    yield Finding("cores", str(os.cpu_count()))
    yield _processor()
    yield _port()
    yield _program("chromium", "only the browser tests need it: apt-get install chromium")


def _workspace() -> Finding:
    path = Settings().workspace_path
    try:
        require_writable(path)
    except AgiwbError as error:
        return Finding("workspace", str(path), str(error))
    return Finding("workspace", str(path))


def _disk() -> Finding:
    folder = next(path for path in (Settings().workspace_path, Path.cwd()) if path.exists())
    free = shutil.disk_usage(folder).free
    fix = "" if free > _ENOUGH_DISK_BYTES else "Free some space: models and logs need room."
    return Finding("free disk", f"{free / 2**30:.0f} GiB", fix)


def _processor() -> Finding:
    try:
        flags = set(Path("/proc/cpuinfo").read_text("utf-8").split())
    except OSError:
        return Finding("processor", platform.processor() or platform.machine())
    good_for = [f"{flag} ({use})" for flag, use in _VECTOR_FLAGS.items() if flag in flags]
    return Finding("processor", ", ".join(good_for) or "no vector extensions")


def _port() -> Finding:
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", _SERVING_PORT)) == 0
    state = f"{_SERVING_PORT} is {'taken' if taken else 'free'}"
    return Finding("serving port", f"{state}; `--rest-api-port 0` takes any free one")


def _program(name: str, use: str) -> Finding:
    path = shutil.which(name)
    return Finding(name, path or f"not installed; {use}")
