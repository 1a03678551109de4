"""Models from a function of the user's own: ``package.module:function`` or ``file.py:function``.

The function is called with the ``ModelSpec`` and returns a Keras model.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agiwb.errors import AgiwbError, ConfigError, did_you_mean
from agiwb.models.loading import foreign_part
from agiwb.models.specification import ModelSpec
from agiwb.models.suitability import require_fit

if TYPE_CHECKING:
    import keras


def build_with(reference: str, spec: ModelSpec) -> keras.Model:
    """Return the model that the function ``reference`` makes for ``spec``.

    Raises:
        ConfigError: There is no such function, it raises, or what it returns is no model that fits
            the data and that Keras can load again by itself.
    """
    path = source_file(reference)
    with _importable(path.parent):
        function = _function(reference, path)
        try:
            model = function(spec)
        except AgiwbError:  # of a family it builds on; says it all
            raise
        except Exception as error:
            raise _failure(f"The builder {reference} raised", error, path, function) from error
    _require_model(model, reference)
    require_fit(model, spec, f"The model that {reference} returned")
    return model


def source_file(reference: str) -> Path:
    """Return the file with the source of the builder ``reference``.

    Raises:
        ConfigError: There is none.
    """
    module, _, _ = reference.rpartition(":")
    if module.endswith(".py"):
        path = Path(module)
        if not path.is_file():
            raise ConfigError(f"`architecture`: there is no file {path}.", "Check the path.")
        return path
    importlib.invalidate_caches()  # the file may have just been written
    with _importable(Path.cwd()):
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        except Exception as error:  # whatever the package's own __init__ raises
            raise ConfigError(
                f"`architecture`: the package of {module} cannot be imported: "
                f"{type(error).__name__}: {error}."
            ) from error
    if found is None or not found.has_location or not str(found.origin).endswith(".py"):
        raise ConfigError(
            f"`architecture`: there is no Python module {module}.",
            "Start agiwb in the folder that holds it, install it, or give its file as "
            "file.py:function.",
        )
    return Path(str(found.origin))


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let Python find the modules in ``folder`` and in this one, after all installed ones."""
    added = [str(folder), str(Path.cwd())]
    sys.path.extend(added)
    try:
        yield
    finally:
        for entry in added:
            sys.path.reverse()
            sys.path.remove(entry)  # the last of that name
            sys.path.reverse()


def _function(reference: str, path: Path) -> Callable[[ModelSpec], Any]:
    module_name, _, name = reference.rpartition(":")
    try:
        module = _module(module_name, path)
    except Exception as error:
        raise _failure(f"The file {path} cannot be imported:", error, path) from error
    function: Callable[[ModelSpec], Any] | None = getattr(module, name, None)
    if not callable(function):
        functions = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise ConfigError(
            f"`architecture`: there is no function {name!r} in {path}.",
            did_you_mean(name, functions) if functions else "Define it there.",
        )
    return function


def _module(name: str, path: Path) -> ModuleType:
    """Return the module as its file now is: a notebook's user edits it between two trainings."""
    if not name.endswith(".py"):
        imported = sys.modules.get(name)
        return importlib.reload(imported) if imported else importlib.import_module(name)
    unique = f"agiwb_builder_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    module = ModuleType(unique)
    module.__file__ = str(path)
    sys.modules[unique] = module  # dataclasses look their module up by name
    _Uncached(unique, str(path)).exec_module(module)
    return module


class _Uncached(SourceFileLoader):
    """Reads the source each time: Python's cache misses edits of equal size in one second."""

    def path_stats(self, path: object) -> Any:
        raise OSError


def _failure(
    what: str, error: Exception, path: Path, function: Callable[..., Any] | None = None
) -> ConfigError:
    """Return the error that names what was raised and the line of the user's file it came from."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path and frame.lineno
    ]
    if isinstance(error, SyntaxError) and error.lineno:
        lines = [error.lineno]
    elif not lines and inspect.isfunction(function):  # it could not even be called
        lines = [function.__code__.co_firstlineno]
    where = f"{path}:{lines[-1]}" if lines else str(path)
    message = " ".join(str(error).split()).rstrip(".")
    return ConfigError(
        f"{what} {type(error).__name__} at {where}{f': {message}' if message else ''}.",
        "A builder takes one ModelSpec and returns a Keras model.",
    )


def _require_model(model: object, reference: str) -> None:
    """Raise ConfigError unless ``model`` is a Keras model made of what Keras itself can load."""
    import keras

    if not isinstance(model, keras.Model):
        raise ConfigError(
            f"The builder {reference} returned {type(model).__name__}, not a Keras model.",
            "Return a keras.Model.",
        )
    if foreign := foreign_part(model):
        raise ConfigError(
            f"The model that {reference} returned has {foreign}, which Keras cannot load again "
            "without your code.",
            "Build it from Keras' own layers, operations and functions, without lambdas.",
        )
