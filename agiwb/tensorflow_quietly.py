"""TensorFlow, imported when first needed and without its start-up chatter.

Call ``import_tensorflow`` before ``import keras``, which imports TensorFlow itself.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from types import ModuleType


def import_tensorflow() -> ModuleType:
    """Return the ``tensorflow`` module; its informational logs are off unless already chosen."""
    # Level 2 still prints harmless C++ "errors" (no CUDA, unknown graph attributes) at every start;
    # what really fails reaches us as a Python exception.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _quiet_unless_it_fails(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
    module: ModuleType = tf
    return module


@contextlib.contextmanager
def _quiet_unless_it_fails() -> Iterator[None]:
    """Keep the process's standard error back; show it only if the block raises.

    TensorFlow's C++ side writes to the file descriptor before any log level is read.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            yield
        except BaseException:
            chatter.seek(0)
            os.write(kept, chatter.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
