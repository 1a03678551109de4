"""MLflow started without what a history does not need: its package is completed when asked.

``import mlflow`` imports judges of language models, a web framework and more: half of the seconds
that it takes. A history needs MLflow's client and its stores, which are modules of their own. So
the packages' own code waits, and is run as soon as anybody takes anything from them that is not
there yet: ``mlflow.start_run`` and all else are there as ever.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from importlib.abc import Loader
from types import ModuleType
from typing import Any, cast

_WAITING = ("mlflow", "mlflow.gateway")
_FIRST = "mlflow.artifacts"
"""What ``mlflow`` itself imports first: its modules import each other in a circle."""

_completing = threading.RLock()


def start_mlflow() -> None:
    """Have ``mlflow`` ready for the import of its client; one that is there stays as it is."""
    with _completing:
        if "mlflow" in sys.modules:
            return
        for name in _WAITING:
            _put_off(name)
        version = importlib.import_module("mlflow.version").VERSION
        vars(sys.modules["mlflow"])["__version__"] = version  # which its modules ask it for
        importlib.import_module(_FIRST)


class _Waiting(ModuleType):
    """A package whose own code is run at the first look at something that it would have made."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks for such, and does without
            raise AttributeError(name)
        with _completing:
            if type(self) is _Waiting:  # else another thread was first, or this is that code
                self.__class__ = _Completed
                try:
                    cast("Loader", self.__loader__).exec_module(self)
                except BaseException:
                    self.__class__ = _Waiting
                    raise
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None


class _Completed(_Waiting):
    """The same, once its own code was run or is being run."""


def _put_off(name: str) -> None:
    """Make a package importable without running its own code."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = _Waiting(name)
    for attribute, value in {
        "__spec__": spec,
        "__path__": spec.submodule_search_locations,
        "__file__": spec.origin,
        "__loader__": spec.loader,
        "__package__": name,
    }.items():
        setattr(package, attribute, value)
    sys.modules[name] = package
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)
