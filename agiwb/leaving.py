"""Ending a process: at once, or with its parent.

To tear down every module and thread of TensorFlow takes seconds, and has crashed now and then when
a signal ended a training.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from typing import NoReturn

_PARENT_CHECK_S = 0.5


def end_with(parent: int) -> None:
    """End this process soon after the process ``parent``, which has started it, however that ends.

    A death signal (PR_SET_PDEATHSIG) would come as soon as the *thread* that started us ends.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, name="agiwb-parent-watch", daemon=True).start()


def leave(code: int) -> NoReturn:
    """End this process with the exit code, after what was registered to be done at its end."""
    atexit._run_exitfuncs()  # noqa: SLF001  as multiprocessing does in its children
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):  # nobody reads any more
            stream.flush()
    os._exit(code)
