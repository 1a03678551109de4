"""The table of built-in data sets: plain data, so that listing them loads none."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass

from agiwb.datasets.dataset import Dataset, Kind, Task


@dataclass(frozen=True)
class Builtin:
    """Where a data set is loaded (``module:function``), what it is, and if it needs a network."""

    loader: str
    kind: Kind
    task: Task
    is_embedded: bool = True


BUILTIN = {
    "digits": Builtin("builtin_images:load_digits", "image", "classification"),
    "mnist5k": Builtin("builtin_images:load_mnist5k", "image", "classification"),
    "breast_cancer": Builtin("builtin_tables:load_breast_cancer", "table", "binary"),
    "wine": Builtin("builtin_tables:load_wine", "table", "classification"),
    "iris": Builtin("builtin_tables:load_iris", "table", "classification"),
    "diabetes": Builtin("builtin_tables:load_diabetes", "table", "regression"),
    "mnist": Builtin("builtin_images:load_mnist", "image", "classification", is_embedded=False),
    "fashion_mnist": Builtin(
        "builtin_images:load_fashion_mnist", "image", "classification", is_embedded=False
    ),
    "cifar10": Builtin("builtin_images:load_cifar10", "image", "classification", is_embedded=False),
    "cifar100": Builtin(
        "builtin_images:load_cifar100", "image", "classification", is_embedded=False
    ),
    "imdb": Builtin("builtin_texts:load_imdb", "text", "binary", is_embedded=False),
    "reuters": Builtin("builtin_texts:load_reuters", "text", "classification", is_embedded=False),
    "california_housing": Builtin(
        "builtin_tables:load_california_housing", "table", "regression", is_embedded=False
    ),
}


@functools.lru_cache(maxsize=2)
def load_builtin(name: str) -> Dataset:
    """Return a built-in data set, kept in memory while it is in use."""
    module, _, function = BUILTIN[name].loader.partition(":")
    loader: Callable[[], Dataset] = getattr(
        importlib.import_module(f"agiwb.datasets.{module}"), function
    )
    return loader()
