"""How many threads TensorFlow takes, where several processes share a machine's cores."""

from __future__ import annotations

import contextlib
import os


def share_of_cores(processes: int) -> int:
    """Return how many of this process's cores each of so many ``processes`` may keep busy."""
    return max(1, len(os.sched_getaffinity(0)) // processes)


def limit_threads(count: int) -> None:
    """Let TensorFlow use so many threads in this process, unless it has begun already."""
    from agiwb.tensorflow_quietly import import_tensorflow

    threading_config = import_tensorflow().config.threading
    with contextlib.suppress(RuntimeError):
        threading_config.set_intra_op_parallelism_threads(count)
        threading_config.set_inter_op_parallelism_threads(count)
