"""The warm process: the heavy libraries, imported once; a child is forked for each job.

``python -m agiwb.jobs.warm_process SOCKET``. To fork so large a process takes a tenth of a second,
so the child is forked before its job is known, and waits for it. A fork is safe only while this
process has a single thread and TensorFlow's runtime has not been initialised; both are looked at
before each one, and the job starts from nothing if they do not hold. It ends, and the waiting child
with it, when nobody has asked for a quarter of an hour, or when the code on disk is no longer what
it imported.
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
from typing import IO, Any, NamedTuple

from agiwb.jobs.code_on_disk import code_on_disk
from agiwb.jobs.readiness import prepare_for_runs
from agiwb.jobs.warm import lock_of, peer_of, receive
from agiwb.jobs.worker import run_job
from agiwb.leaving import leave

_IDLE_S = 15 * 60.0
_LOOK_S = 5.0
_REQUEST_S = 5.0

_IMPORTED = ("keras",)
_IMPORTED_IF_THERE = ("sklearn.datasets",)


class Spare(NamedTuple):
    """A child that waits for its job; it ends if this process closes ``line`` or is gone."""

    pid: int
    line: socket.socket

    def hand_over(self, request: Mapping[str, Any]) -> None:
        """Tell the child its job."""
        with self.line:
            self.line.sendall(json.dumps(request).encode())


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
        self._spare: Spare | None = None
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
                    if self._spare is None and not unsafe_to_fork():
                        self._spare, request = fork_spare(listener)
                        if request is not None:
                            return self._in_its_environment(request)
                    with contextlib.suppress(TimeoutError):
                        connection, _ = listener.accept()
                        self._answer(connection)
            finally:
                # Closed by a child, which must leave the socket to its parent.
                if listener.fileno() >= 0:
                    self._address.unlink(missing_ok=True)
        return None

    def _is_wanted(self) -> bool:
        self._children = {pid for pid in self._children if not has_ended(pid)}
        if self._children:
            self._asked_at = time.monotonic()
        if self._spare is not None and has_ended(self._spare.pid):
            self._spare.line.close()
            self._spare = None
        return time.monotonic() - self._asked_at < _IDLE_S and self._code == code_on_disk()

    def _answer(self, connection: socket.socket) -> None:
        """Give the job that is asked for on ``connection`` to the spare child, and tell its id."""
        with connection, contextlib.suppress(OSError, ValueError, TypeError):
            connection.settimeout(_REQUEST_S)
            if peer_of(connection)[1] != os.getuid():
                return
            request = receive(connection)
            self._asked_at = time.monotonic()
            spare, self._spare = self._spare, None
            has_changed = self._code != code_on_disk()
            if spare is None or has_changed:
                reason = "the code has changed" if has_changed else unsafe_to_fork()
                print(f"Refused: {reason}.", flush=True)
                connection.sendall(json.dumps({"refused": reason}).encode())
                return
            self._children.add(spare.pid)
            spare.hand_over(request)
            connection.sendall(json.dumps({"pid": spare.pid}).encode())

    def _in_its_environment(self, request: dict[str, Any]) -> dict[str, Any]:
        return {**request, "environment": {**self._set_by_imports, **request["environment"]}}


def import_heavy_libraries() -> None:
    """Import what nearly every job needs, and look up once what is the same for all of them."""
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    prepare_for_runs(_IMPORTED, _IMPORTED_IF_THERE)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page it looks at


def fork_spare(listener: socket.socket) -> tuple[Spare | None, dict[str, Any] | None]:
    """Fork a child that waits for its job: return it here and, in the child, the job once told.

    It leads a session of its own before anyone knows of it: whoever cancels a job signals its
    process group, and a moment earlier that would be this process'.
    """
    line, its_end = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        listener.close()
        line.close()
        its_end.sendall(b".")
        with its_end, contextlib.suppress(OSError, ValueError, TypeError):
            return None, receive(its_end)
        os._exit(0)  # nobody needs it any more
    its_end.close()
    line.recv(1)  # or the child has ended
    return Spare(pid, line), None


def has_ended(child: int) -> bool:
    """Return whether the child process has ended, and forget it then."""
    return os.waitpid(child, os.WNOHANG) != (0, 0)


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
