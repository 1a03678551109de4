"""Servers that said nothing a moment ago: the workspace remembers it, so that one command waits.

Whoever is refused or let in knows that at once. Only a host that does not answer at all costs
each who asks it seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from pathlib import Path

from agiwb.runs.files import write_atomic

REMEMBERED_S = 60.0
ASKED_AGAIN = f" It is asked again after {REMEMBERED_S:.0f} s; `agiwb doctor` asks at once."


class Silence:
    """What a workspace remembers of one server's silence. Thread and process safe."""

    def __init__(self, workspace: Path, server: str) -> None:
        """Take the name of the server, without a password: its digest names the file."""
        name = hashlib.sha256(server.encode()).hexdigest()[:16]
        self._file = workspace / ".silent" / name

    def age_s(self) -> float | None:
        """Return how many seconds ago the server was silent; None if not within a minute."""
        try:
            age = time.time() - self._file.stat().st_mtime
        except OSError:
            return None
        return age if 0 <= age < REMEMBERED_S else None

    def note(self) -> None:
        """Remember that the server is silent now, if the workspace can be written."""
        with contextlib.suppress(OSError):
            write_atomic(self._file, b"")

    def forget(self) -> None:
        """Remember nothing: the server spoke."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
