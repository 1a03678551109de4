"""TensorFlow, imported when first needed and without its start-up chatter.

Call ``import_tensorflow`` before ``import keras``, which imports TensorFlow itself.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from types import ModuleType

from agiwb.native_chatter import held_back


def import_tensorflow() -> ModuleType:
    """Return the ``tensorflow`` module; its informational logs are off unless already chosen."""
    # Level 2 still prints harmless C++ "errors" (no CUDA, unknown graph attributes) at every start;
    # what really fails reaches us as a Python exception.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Its C++ side prints before it reads any log level.
    quiet = contextlib.nullcontext() if "tensorflow" in sys.modules else held_back()
    with quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
    module: ModuleType = tf
    return module
