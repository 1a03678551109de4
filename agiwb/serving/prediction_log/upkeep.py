"""Compaction while a server runs: a child process of low priority, at the start and every hour.

Neither pyarrow's memory nor its work belong in the server's process. Of several servers on one log
each may try: a file lock lets one work. The child rolls up as well what it has compacted, and
brings it up to the object store, if there is one: then once more at the end, because nobody may
come back to this machine's disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

from agiwb.serving.prediction_log.policy import LogPolicy
from agiwb.settings import Settings

_EVERY_S = 3600.0
_LONGEST_S = 3000.0
_LONGEST_AT_THE_END_S = 4.0
"""A server may take PROCESS_S to stop; a child that needs longer goes on by itself."""
_LOWEST_PRIORITY = 19
_SHOWN_CHARACTERS = 500
_PROGRAM = "agiwb.monitoring.log.upkeep"
"""A program of its own, which knows what the log is for: started by name, never imported."""


class Upkeep:
    """Compacts the logs below a folder in a thread that only waits."""

    def __init__(self, predictions: Path, policy: LogPolicy, every_s: float = _EVERY_S) -> None:
        """Begin with ``start``."""
        self._predictions = predictions
        self._policy = policy
        self._every_s = every_s
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work, name="log-upkeep", daemon=True)

    def start(self) -> None:
        """Compact what former servers left, then each hour what this one has sealed."""
        self._thread.start()

    def stop(self) -> None:
        """Start no more; one that runs is ended, which loses nothing. The log is closed by now."""
        self._stopping.set()
        with self._starting:  # a child that is being started is there afterwards
            if self._child is not None:
                self._child.terminate()
        if self._thread.ident is not None:
            self._thread.join()
            if Settings().artifacts is not None and (folders := self._folders()):
                self._share_the_rest(folders)

    def _work(self) -> None:
        while not self._stopping.is_set():
            folders = self._folders()
            if folders and not self._compact(folders):
                return
            self._stopping.wait(self._every_s)

    def _folders(self) -> list[Path]:
        if not self._predictions.is_dir():
            return []
        return sorted(path for path in self._predictions.iterdir() if path.is_dir())

    def _compact(self, folders: list[Path]) -> bool:
        """Return whether it makes sense to try again in an hour."""
        try:
            with self._starting:
                if self._stopping.is_set():
                    return False
                child = self._child = self._start_child(folders)
            try:
                _, said = child.communicate(timeout=_LONGEST_S)
            except subprocess.TimeoutExpired:
                child.kill()
                _, said = child.communicate()
        except OSError as error:  # no memory, too many processes: it may be otherwise in an hour
            _warn(error.strerror or str(error))
            return True
        if child.returncode == 0 or self._stopping.is_set():
            return True
        words = _last_words(said)
        _warn(words)
        return "No module named" not in words  # without pyarrow no later try will succeed

    def _share_the_rest(self, folders: list[Path]) -> None:
        try:
            child = self._start_child(folders)
        except OSError as error:
            _warn(error.strerror or str(error))
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            _, said = child.communicate(timeout=_LONGEST_AT_THE_END_S)
            if child.returncode != 0:
                _warn(_last_words(said))

    def _start_child(self, folders: list[Path]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                _PROGRAM,
                *map(str, folders),
                "--policy",
                self._policy.model_dump_json(),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=_lower_priority if sys.platform != "win32" else None,  # noqa: PLW1509
        )


def _last_words(said: bytes) -> str:
    return said.decode("utf-8", "replace").strip()[-_SHOWN_CHARACTERS:]


def _warn(reason: str) -> None:
    logging.getLogger("agiwb").warning("The prediction log is not looked after: %s", reason)


def _lower_priority() -> None:
    os.nice(_LOWEST_PRIORITY)
