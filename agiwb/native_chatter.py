"""What native code prints on the process's standard error, which notebooks show in red."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

from agiwb.errors import AgiwbError

_STDERR = 2
_in_turn = threading.RLock()
"""Two overlapping blocks could each put back what the other had put in place."""


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Keep what the block prints on file descriptor 2; show it only if the block fails unforeseen.

    C++ libraries write there whatever ``sys.stderr`` is, and some heed no log level. Without a
    usable descriptor the block runs as it is.

    Thread safety: none. The descriptor belongs to the whole process, so what other threads print
    meanwhile is kept as well, and lost if the block succeeds. Blocks in several threads wait for
    each other.
    """
    with _in_turn, contextlib.ExitStack() as opened:
        try:
            shown = opened.enter_context(os.fdopen(os.dup(_STDERR), "wb", buffering=0))
            kept = opened.enter_context(tempfile.TemporaryFile())
        except OSError:
            kept = None
        if kept is None:
            yield
            return
        _flush()
        os.dup2(kept.fileno(), _STDERR)
        try:
            yield
        except AgiwbError:  # it says in a sentence what the library said at length
            raise
        except BaseException:
            _flush()
            kept.seek(0)
            with contextlib.suppress(OSError):  # the block's own error matters more
                shown.write(kept.read())
            raise
        finally:
            _flush()
            os.dup2(shown.fileno(), _STDERR)


def _flush() -> None:
    """Send off what Python has buffered, to where it was meant to go."""
    if sys.stderr is not None:  # as under pythonw and some services
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
