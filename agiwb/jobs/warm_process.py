"""The warm process: the heavy libraries, imported once; a child is forked for each job.

``python -m agiwb.jobs.warm_process SOCKET``. A fork is safe only while this process has a single
thread and TensorFlow's runtime has not been initialised; both are looked at before each one, and
the job starts from nothing if they do not hold. It ends when nobody has asked for a quarter of an
hour, or when the code on disk is no longer what it imported.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from agiwb.jobs.readiness import prepare_for_runs
from agiwb.jobs.warm import code_on_disk, lock_of, peer_of, receive
from agiwb.jobs.worker import run_job
from agiwb.leaving import leave

_IDLE_S = 15 * 60.0
_LOOK_S = 5.0
_REQUEST_S = 5.0

_IMPORTED = ("keras",)
_IMPORTED_IF_THERE = ("sklearn.datasets",)


class WarmProcess:
    """Listens at ``address``; ``run`` returns the request in each child, and None at the end."""

    def __init__(self, address: Path) -> None:
        self._address = address
        self._code = code_on_disk()
        before = dict(os.environ)
        import_heavy_libraries()
        self._set_by_imports = {
            name: value for name, value in os.environ.items() if before.get(name) != value
        }
        self._children: set[int] = set()
        self._asked_at = time.monotonic()

    def run(self) -> dict[str, Any] | None:
        """Serve requests until idle or outdated."""
        self._address.unlink(missing_ok=True)  # of one that was killed; its lock is ours now
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._address))
            listener.listen()
            listener.settimeout(_LOOK_S)
            try:
                while self._is_wanted():
                    with contextlib.suppress(TimeoutError):
                        connection, _ = listener.accept()
                        request = self._answer(connection, listener)
                        if request is not None:
                            return request
            finally:
                # Closed by a child, which must leave the socket to its parent.
                if listener.fileno() >= 0:
                    self._address.unlink(missing_ok=True)
        return None

    def _is_wanted(self) -> bool:
        while self._children:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                self._asked_at = time.monotonic()
                break
            self._children.discard(pid)
        return time.monotonic() - self._asked_at < _IDLE_S and self._code == code_on_disk()

    def _answer(self, connection: socket.socket, listener: socket.socket) -> dict[str, Any] | None:
        """Fork for the request on ``connection``; return it in the child, None in this process."""
        with connection, contextlib.suppress(OSError, ValueError, TypeError):
            connection.settimeout(_REQUEST_S)
            if peer_of(connection)[1] != os.getuid():
                return None
            request = receive(connection)
            self._asked_at = time.monotonic()
            reason = "the code has changed" if self._code != code_on_disk() else unsafe_to_fork()
            if reason:
                print(f"Refused to fork: {reason}.", flush=True)
                connection.sendall(json.dumps({"refused": reason}).encode())
                return None
            pid = _fork_into_session()
            if pid == 0:
                listener.close()
                request["environment"] = {**self._set_by_imports, **request["environment"]}
                return request
            self._children.add(pid)
            connection.sendall(json.dumps({"pid": pid}).encode())
        return None


def import_heavy_libraries() -> None:
    """Import what nearly every job needs, and look up once what is the same for all of them."""
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    prepare_for_runs(_IMPORTED, _IMPORTED_IF_THERE)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page it looks at


def _fork_into_session() -> int:
    """Fork a child that leads a session of its own before anyone is told of it.

    Whoever cancels a job signals its process group; a moment earlier that would be this process'.
    """
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
    os.close(done)
    if pid:
        os.read(ready, 1)  # ends as the child closes its end, or with the child
    os.close(ready)
    return pid


def unsafe_to_fork() -> str:
    """Return why this process must not be forked, or nothing if it may."""
    context = sys.modules.get("tensorflow.python.eager.context")
    runtime = None if context is None else context.context_safe()
    if runtime is not None and runtime._initialized:  # noqa: SLF001  nothing public tells
        return "the runtime of TensorFlow has been initialised"
    threads = len(list(Path("/proc/self/task").iterdir()))
    return "" if threads == 1 else f"it has {threads} threads"


def become(request: Mapping[str, Any]) -> Path:
    """Make this forked process what a new one of the submitter's would be; return its job.

    Its own are the environment, the current folder, standard output and error, and random numbers
    that nobody seeds; its session is its own since it was forked.
    """
    import numpy as np

    folder, environment = Path(request["folder"]), request["environment"]
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None
    if not sys.flags.safe_path:
        sys.path[0] = request["cwd"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _write_to(folder / "log.txt")
    np.random.seed()  # noqa: NPY002  a fork has its parent's; Python's own is seeded anew already
    restore_blas_threads(environment)
    return folder


def _write_to(log: Path) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    with log.open("ab", buffering=0) as written, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        for descriptor in (1, 2):
            os.dup2(written.fileno(), descriptor)


def restore_blas_threads(environment: Mapping[str, str]) -> None:
    """Give OpenBLAS the threads it would have made as it was loaded: results depend on them."""
    import threadpoolctl  # type: ignore[import-untyped]

    wanted = len(os.sched_getaffinity(0))
    for name in ("OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        with contextlib.suppress(KeyError, ValueError):
            wanted = max(1, int(environment[name]))
    for pool in threadpoolctl.ThreadpoolController().lib_controllers:
        if pool.user_api == "blas":
            pool.set_num_threads(wanted)


def main(address: Path) -> int:
    """Be the warm process at ``address``, or at last one of its children."""
    lock: IO[str]
    with lock_of(address).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return 0  # another was first
        request = WarmProcess(address).run()
    if request is not None:
        leave(run_job(become(request)))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
