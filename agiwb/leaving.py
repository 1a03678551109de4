"""Ending a process at once: not after every module and thread of TensorFlow has been torn down.

That takes seconds, and has crashed now and then when a signal ended a training.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End this process with the exit code, after what was registered to be done at its end."""
    atexit._run_exitfuncs()  # noqa: SLF001  as multiprocessing does in its children
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):  # nobody reads any more
            stream.flush()
    os._exit(code)
