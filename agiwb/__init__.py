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
    "AgiwbError": "agiwb.errors",
    "CancelledError": "agiwb.errors",
    "ConfigError": "agiwb.errors",
    "ConvertConfig": "agiwb.conversion.convert",
    "ConvertRecord": "agiwb.conversion.convert",
    "DatasetError": "agiwb.errors",
    "DemoConfig": "agiwb.batch.demo",
    "DemoRecord": "agiwb.batch.demo",
    "Endpoint": "agiwb.serving.endpoint",
    "EvaluateConfig": "agiwb.evaluation.evaluate",
    "EvaluateRecord": "agiwb.evaluation.evaluate",
    "InputError": "agiwb.errors",
    "MonitorConfig": "agiwb.monitoring.monitor",
    "MonitorRecord": "agiwb.monitoring.monitor",
    "NotFoundError": "agiwb.errors",
    "NotebookError": "agiwb.errors",
    "RunConfig": "agiwb.batch.notebook",
    "RunRecord": "agiwb.batch.notebook",
    "ServeConfig": "agiwb.serving.serve",
    "ServingError": "agiwb.errors",
    "SweepConfig": "agiwb.compression.sweep",
    "SweepRecord": "agiwb.compression.sweep",
    "TrainConfig": "agiwb.training.train",
    "TrainRecord": "agiwb.training.train",
    "WorkError": "agiwb.errors",
    "WorkspaceError": "agiwb.errors",
    "add_noise": "agiwb.datasets.perturb",
    "blur": "agiwb.datasets.perturb",
    "candidate_table": "agiwb.reporting.compression",
    "convert": "agiwb.conversion.convert",
    "dataset_of": "agiwb.batch.prerequisites",
    "demo": "agiwb.batch.demo",
    "ensure_artifact": "agiwb.batch.prerequisites",
    "ensure_model": "agiwb.batch.prerequisites",
    "evaluate": "agiwb.evaluation.evaluate",
    "load_dataset": "agiwb.datasets.registry",
    "metrics_table": "agiwb.reporting.tables",
    "monitor": "agiwb.monitoring.monitor",
    "open_runtime": "agiwb.runtimes.runtime",
    "open_store": "agiwb.runs.store",
    "parity_table": "agiwb.reporting.conversion",
    "plot_drift": "agiwb.reporting.monitoring",
    "plot_examples": "agiwb.reporting.examples",
    "plot_parity": "agiwb.reporting.conversion",
    "plot_slices": "agiwb.reporting.evaluation",
    "plot_tradeoff": "agiwb.reporting.compression",
    "plot_training": "agiwb.reporting.training",
    "rotate": "agiwb.datasets.perturb",
    "run_notebook": "agiwb.batch.notebook",
    "serve": "agiwb.serving.serve",
    "slice_table": "agiwb.reporting.evaluation",
    "sweep": "agiwb.compression.sweep",
    "train": "agiwb.training.train",
}

__all__ = sorted([*_HOMES, "__version__"])  # noqa: PLE0605  the table above is the one list


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'agiwb' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
