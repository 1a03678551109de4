"""Folders for what is decrypted: the owner's only, and gone when the process is.

They are removed on closing, at the process's end and on SIGTERM. What a SIGKILL or a power cut
leaves behind, the next process that decrypts removes: whoever uses a folder holds a lock on it.
Set TMPDIR to a file system in memory, and nothing plain reaches a disk.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType

_PREFIX = "agiwb-private-"
_YOUNGEST_SWEPT_S = 60.0
"""A folder is locked right after it is made; one this old without a lock is nobody's."""

_open: set[PrivateFolder] = set()
_prepared = threading.Lock()
_prepared_for: int | None = None


class PrivateFolder:
    """A temporary folder of mode 0700; ``close`` removes it with all that is in it."""

    def __init__(self) -> None:
        """Make the folder."""
        _prepare()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._owner = os.getpid()
        self._lock = os.open(self.path, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        _open.add(self)

    def close(self) -> None:
        """Remove the folder; doing so twice is fine, and a forked child removes nothing."""
        if self not in _open or os.getpid() != self._owner:
            return
        _open.discard(self)
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _prepare() -> None:
    """Once in a process, see to it that folders are removed, and remove those left behind."""
    global _prepared_for  # noqa: PLW0603  of this process, and of no forked child
    with _prepared:
        if _prepared_for == os.getpid():
            return
        _prepared_for = os.getpid()
        atexit.register(_close_all)
        on_main_thread = threading.current_thread() is threading.main_thread()
        # Whoever handles SIGTERM already ends the process in order, and so by atexit.
        if on_main_thread and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _close_and_end)
        _sweep()


def _close_all() -> None:
    for folder in list(_open):
        folder.close()


def _close_and_end(number: int, frame: FrameType | None) -> None:
    _close_all()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _sweep() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            about = path.lstat()
            if about.st_uid != os.getuid() or time.time() - about.st_mtime < _YOUNGEST_SWEPT_S:
                continue
            lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
