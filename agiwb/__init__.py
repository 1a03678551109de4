"""agiwb: a workbench for the working life of a model.

Train, compress, convert, serve, evaluate, monitor. Every step is a function from a typed config
to a stored record: ``train(TrainConfig(dataset="digits"))``.

Names are loaded when first used, so that importing agiwb costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "TrainConfig": "agiwb.training.train",
    "TrainRecord": "agiwb.training.train",
    "load_dataset": "agiwb.datasets.registry",
    "open_store": "agiwb.runs.store",
    "train": "agiwb.training.train",
}

__all__ = sorted([*_HOMES, "__version__"])  # noqa: PLE0605  the table above is the one list


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'agiwb' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
