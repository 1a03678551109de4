"""TensorFlow, imported when first needed and without its start-up chatter.

Call ``import_tensorflow`` before ``import keras``, which imports TensorFlow itself.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from agiwb.native_chatter import held_back
from agiwb.staying import left_alone

_EXTRAS = frozenset({"IPython", "matplotlib", "sklearn"})


def import_tensorflow() -> ModuleType:
    """Return the ``tensorflow`` module; its informational logs are off unless already chosen."""
    # Level 2 still prints harmless C++ "errors" (no CUDA, unknown graph attributes) at every start;
    # what really fails reaches us as a Python exception.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.ExitStack() as meanwhile:
        if "tensorflow" not in sys.modules:
            meanwhile.enter_context(held_back())  # C++ prints before it reads any log level
            meanwhile.enter_context(left_alone())
        meanwhile.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
    module: ModuleType = tf
    return module


def leave_out_extras_of_keras() -> None:
    """Let Keras start without what it imports for notebooks, plots and scikit-learn's interface.

    It takes them if it finds them, which is a third of its start. For processes of our own, in
    which nobody uses ``keras.visualization`` and ``keras.wrappers``; all else finds them as ever.
    """
    if not any(isinstance(finder, _WithoutExtras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutExtras())


class _WithoutExtras(MetaPathFinder):
    """Finds no extra where Keras itself imports it, and leaves everything else to the others."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname in _EXTRAS and _importer().startswith("keras."):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def _importer() -> str:
    """Return the name of the module whose import statement is being carried out."""
    frame = sys._getframe(1)  # noqa: SLF001  there is no other way to ask
    while frame.f_back and frame.f_globals["__name__"] in {__name__, "importlib._bootstrap"}:
        frame = frame.f_back
    return str(frame.f_globals["__name__"])
