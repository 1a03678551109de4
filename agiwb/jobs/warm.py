"""Asking the warm process for a job's process, and starting it for the next time.

The warm process has the heavy libraries imported and forks a child for each job. It is reached
through a socket in a private folder, whose name is a digest of all that its imports depend on: the
interpreter, the packages, and what the environment says to native libraries. So another
``CUDA_VISIBLE_DEVICES`` never meets a process that was started before. Whether the code has changed
since then that process finds out: a kernel that draws meanwhile takes milliseconds for each file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import resource
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agiwb.jobs.code_on_disk import modified
from agiwb.runs.liveness import RunFolder
from agiwb.runs.provenance import PACKAGE_FOLDER

_ANSWER_S = 5.0
_LONGEST_PATH = 100
"""A socket's path has 107 bytes at most."""
_CREDENTIALS = struct.Struct("3i")

# What is read when a library is imported or a process starts, not when a job asks for it.
_READ_AT_IMPORT = (
    "ABSL", "ARROW_", "CUDA_", "DNNL_", "GOTO_", "GRPC_", "HIP_", "HOME", "HSA_", "JAX_", "JE_",
    "KERAS_", "KMP_", "LANG", "LC_", "LD_", "MALLOC_", "MKL_", "MLFLOW_", "MPL", "NCCL_", "NPY_",
    "NUMEXPR_", "NVIDIA_", "OMP_", "ONEDNN_", "OPENBLAS_", "ORT_", "PATH", "PROTOCOL_BUFFERS_",
    "PYTHON", "ROCM_", "TF_", "TF2_", "TSL_", "VIRTUAL_ENV", "XDG_", "XLA_",
)  # fmt: skip

# A process that has imported the libraries asks for the same as one that has not.
_SET_BY_IMPORTS = {
    ("KMP_DUPLICATE_LIB_OK", "True"),
    ("KMP_INIT_AT_FORK", "FALSE"),
    ("TF2_BEHAVIOR", "1"),
    ("TF_CPP_MIN_LOG_LEVEL", "3"),
}

QUIET_POOLS = {
    # Forking a process that has threads is not safe. OpenBLAS makes its threads when it is loaded
    # (a job's process gets them back), and so does the memory allocator of Arrow.
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}


def ask_warm_process(folder: RunFolder, cwd: str, environment: Mapping[str, str]) -> int | None:
    """Return the id of a process forked for the job, or None if none can be had at once.

    If there is no warm process, one is started for the next time; nobody waits for it.
    """
    if sys.platform != "linux":
        return None
    address = warm_address(environment)
    if address is None:
        return None
    asked = {"folder": str(folder.path), "cwd": cwd, "environment": environment}
    try:
        answer = _ask(address, asked)
    except (FileNotFoundError, ConnectionRefusedError):
        _start(address, environment)
        return None
    except (OSError, ValueError):
        return None
    # Without a pid it refused, for a reason that its log gives.
    pid = answer.get("pid")
    return pid if isinstance(pid, int) else None


def warm_address(environment: Mapping[str, str]) -> Path | None:
    """Return the socket of the warm process that fits this process, or None if it can have none."""
    folder = Path(tempfile.gettempdir()) / f"agiwb-{os.getuid()}"
    path = folder / f"{warm_key(environment)}.sock"
    if len(os.fsencode(path)) > _LONGEST_PATH:
        return None
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    is_private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    return path if is_private and found.st_uid == os.getuid() else None


def warm_key(environment: Mapping[str, str]) -> str:
    """Return 16 hexadecimal digits for all that the imports of a process depend on."""
    decisive = {
        "code": str(PACKAGE_FOLDER),
        "interpreter": [sys.executable, sys.version, sys.prefix],
        "packages": sorted(modified(path) for path in sys.path if path.endswith("-packages")),
        "environment": sorted(
            item
            for item in environment.items()
            if item[0].startswith(_READ_AT_IMPORT) and item not in _SET_BY_IMPORTS
        ),
        "process": _inherited(),
    }
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]


def lock_of(address: Path) -> Path:
    """Return the file that a warm process holds under ``flock`` from its first moment."""
    return address.with_suffix(".lock")


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """Return the process id and the user id at the other end of a Unix socket."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, user, _ = _CREDENTIALS.unpack(found)
    return pid, user


def receive(connection: socket.socket) -> dict[str, Any]:
    """Return the JSON document that the other end sends; raise ValueError if it is none."""
    received = b"".join(iter(lambda: connection.recv(65_536), b""))
    document = json.loads(received)
    if not isinstance(document, dict):
        raise TypeError("Not a JSON object.")
    return document


def _ask(address: Path, asked: Mapping[str, object]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_S)
        connection.connect(str(address))
        if peer_of(connection)[1] != os.getuid():
            raise PermissionError("Another user's process listens.")
        connection.sendall(json.dumps(asked).encode())
        connection.shutdown(socket.SHUT_WR)
        return receive(connection)


def _start(address: Path, environment: Mapping[str, str]) -> None:
    """Start the warm process, unless one is starting already."""
    from agiwb.jobs.start import start_detached

    with contextlib.suppress(OSError), lock_of(address).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(lock, fcntl.LOCK_UN)
        with address.with_suffix(".log").open("wb") as log:
            # From the folder of the package, which need not be installed.
            start_detached(
                ["agiwb.jobs.warm_process", str(address)],
                PACKAGE_FOLDER.parent,
                {**environment, **QUIET_POOLS},
                output=log.fileno(),
            )


def _inherited() -> dict[str, object]:
    """Return what a child has from its parent and this process has from its own."""
    limits = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    status = Path("/proc/self/status").read_text("ascii", errors="replace")
    return {
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in limits},
        "processors": sorted(os.sched_getaffinity(0)),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "groups": sorted(os.getgroups()),
        "umask": [line for line in status.splitlines() if line.startswith("Umask")],
    }
