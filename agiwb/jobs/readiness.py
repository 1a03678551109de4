"""Getting a process ready from which others are forked: what they need is there already."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable

from agiwb.runs.mlflow_start import start_mlflow
from agiwb.runs.provenance import code_digest, package_versions

_HISTORY = ("filelock", "threadpoolctl", "agiwb.runs.execute", "agiwb.runs.mlflow_store")
_HISTORY_IF_THERE = (  # what MLflow imports when it is first used
    "alembic.command",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "sqlalchemy.dialects.sqlite",
)


def prepare(needed: Iterable[str], if_installed: Iterable[str] = ()) -> None:
    """Import modules, and look up once what is the same for all forks: versions and own code."""
    for name in needed:
        importlib.import_module(name)
    for name in if_installed:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # Of what is imported, not of what lies there once there is work.
    code_digest()
    package_versions()


def prepare_for_runs(needed: Iterable[str], if_installed: Iterable[str] = ()) -> None:
    """Do what ``prepare`` does, for forks that make runs and so need the history."""
    start_mlflow()
    prepare((*needed, *_HISTORY), (*if_installed, *_HISTORY_IF_THERE))
