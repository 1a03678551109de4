"""What the server needs installed, pinned to the versions that are installed here."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from agiwb.artifacts.manifest import Format, StandaloneFormat
from agiwb.errors import WorkError

SERVER_PACKAGES = (
    "cryptography",
    "filelock",
    "grpcio",
    "httptools",
    "numpy",
    "orjson",
    "prometheus-client",
    "protobuf",
    "psutil",
    "pydantic",
    "pydantic-settings",
    "pyjwt",
    "pyyaml",
    "uvloop",
    "zlib-ng",
)
"""What ``python -m agiwb.serving.server`` imports, whatever it serves; no TensorFlow."""

RUNTIME_PACKAGES: dict[Format, str] = {
    kind: {"onnx": "onnxruntime", "litert": "ai-edge-litert"}[kind.partition("_")[0]]
    for kind in get_args(StandaloneFormat)
}
"""What runs a format in the server's own process."""

_LINUX = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "linux")
_DOWNLOAD_TIMEOUT_S = 900


@dataclass(frozen=True, order=True)
class Pin:
    """One distribution at one version; ``sha256`` of its wheel where that is known."""

    name: str
    version: str
    license: str = ""
    requires: tuple[str, ...] = ()
    sha256: str = ""

    @property
    def package_url(self) -> str:
        """The purl, by which scanners of vulnerabilities know it."""
        return f"pkg:pypi/{self.name}@{self.version}"


def server_pins(formats: Iterable[Format]) -> tuple[Pin, ...]:
    """Return the server's packages and all they need, by name, as installed here.

    Raises:
        WorkError: One of them is not installed.
    """
    wanted = [*SERVER_PACKAGES, *dict.fromkeys(RUNTIME_PACKAGES[name] for name in formats)]
    found: dict[str, Pin] = {}
    waiting: list[str] = [canonicalize_name(name) for name in wanted]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _installed(name)
            waiting += found[name].requires
    return tuple(sorted(found.values()))


def requirements_text(pins: Sequence[Pin]) -> str:
    """Return the pins as pip reads them, with hashes if each has one (pip wants all or none)."""
    hashed = all(pin.sha256 for pin in pins)
    suffix = {pin.name: f" --hash=sha256:{pin.sha256}" if hashed else "" for pin in pins}
    lines = [f"{pin.name}=={pin.version}{suffix[pin.name]}" for pin in pins]
    return "\n".join(
        ["# The server's packages, as they were when the bundle was made.", *lines, ""]
    )


def download_wheels(pins: Sequence[Pin], folder: Path) -> tuple[Pin, ...]:
    """Return the pins with their hashes, their Linux wheels downloaded into ``folder``.

    The wheels are for this machine's processor and Python 3.11, whatever system this is.

    Raises:
        WorkError: pip could not get one.
    """
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    platforms = [word for tag in _LINUX for word in ("--platform", f"{tag}_{machine}")]
    words = [f"{pin.name}=={pin.version}" for pin in pins]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--only-binary=:all:", "--python-version=3.11", "--implementation=cp"),
            # These very versions run here; a backport may say that it is for older Pythons.
            "--ignore-requires-python",
            *platforms,
            *("--dest", str(folder), *words),
        ],
        capture_output=True,
        text=True,
        timeout=_DOWNLOAD_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise WorkError(
            f"The server's wheels could not be downloaded: {done.stderr.strip()}",
            "Bundle without `wheels`: the image then gets them while it is built.",
        )
    by_name = {_wheel_name(path): path for path in sorted(folder.glob("*.whl"))}
    return tuple(
        Pin(pin.name, pin.version, pin.license, pin.requires, _sha256(by_name[pin.name]))
        for pin in pins
    )


def modules_left_out(root: Path) -> tuple[str, ...]:
    """Return the top-level modules that are installed here, and not by the bundle in ``root``."""
    lines = (root / "packages/requirements.txt").read_text("utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in lines if line and not line.startswith("#")}
    owners = importlib.metadata.packages_distributions()
    wanted = {"agiwb", *pinned}
    return tuple(
        sorted(
            module
            for module, names in owners.items()
            if not wanted & {canonicalize_name(name) for name in names}
        )
    )


def _installed(name: str) -> Pin:
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise WorkError(
            f"The server needs {name}, which is not installed.", "Install agiwb with all it needs."
        ) from None
    needs = [Requirement(text) for text in distribution.requires or ()]
    # Only what is needed on Linux without extras: the image's environment.
    environment = {
        "extra": "",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
    }
    requires = sorted(
        {
            canonicalize_name(need.name)
            for need in needs
            if need.marker is None or need.marker.evaluate(environment)
        }
    )
    licensed = distribution.metadata.json.get("license_expression", "")
    # A local label (+cpu) is of this machine's build; no index has it under that name.
    version = distribution.version.partition("+")[0]
    return Pin(name, version, str(licensed), tuple(requires))


def _wheel_name(path: Path) -> str:
    return str(canonicalize_name(re.split("-", path.name, maxsplit=1)[0]))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
