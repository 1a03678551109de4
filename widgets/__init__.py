"""The panels: views of what agiwb computes. Nothing here computes.

Names are loaded when first used, so that a panel imports only what it shows.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "AuditReport": "widgets.reports.audit",
    "CompressPanel": "widgets.compress",
    "ConfigForm": "widgets.form",
    "ConvertPanel": "widgets.convert",
    "DataPanel": "widgets.data",
    "EvaluationReport": "widgets.reports.evaluation",
    "InspectionPanel": "widgets.inspection",
    "JobList": "widgets.job",
    "JobView": "widgets.job",
    "MaintainPanel": "widgets.maintain",
    "MatrixPanel": "widgets.matrix",
    "ModelCard": "widgets.reports.model_card",
    "MonitorPanel": "widgets.plain_panels",
    "MonitoringReport": "widgets.reports.monitoring",
    "PlanPanel": "widgets.plain_panels",
    "RunsPanel": "widgets.runs",
    "Selection": "widgets.selection",
    "ServePanel": "widgets.serve",
    "StepPanel": "widgets.step_panel",
    "TradeoffReport": "widgets.reports.tradeoff",
    "TradeoffView": "widgets.tradeoff",
    "TrainPanel": "widgets.train",
    "Workbench": "widgets.workbench",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  the table above is the one list


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'widgets' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
