"""Imports of what stays, which the garbage collector need not look through time and again."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def nothing_collected() -> Iterator[None]:
    """Stop the garbage collector: a large library makes hundreds of thousands of objects that stay.

    It would look through them again and again, for an eighth of TensorFlow's start and a fifth of
    MLflow's.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextlib.contextmanager
def left_alone() -> Iterator[None]:
    """The same, and what is there at the end is never looked through again.

    What was garbage before is freed first: afterwards it would stay too.
    """
    gc.collect()
    with nothing_collected():
        yield
        gc.freeze()
