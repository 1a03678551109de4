"""agiwb: a workbench for the working life of a model.

Train, compress, convert, serve, evaluate, monitor. Every step is a function from a typed config
to a stored record: ``train(TrainConfig(dataset="digits"))``.

Names are loaded when first used, so that importing agiwb costs nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "0.1.0"

# They would tell their makers how they are used, a server in production too; ONNX Runtime keeps a
# thread, a database and a number of this machine for that. Whoever wants it sets them before.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "AddDatasetConfig": "agiwb.datasets.add",
    "AgiwbError": "agiwb.errors",
    "CancelledError": "agiwb.errors",
    "ConfigError": "agiwb.errors",
    "BundleConfig": "agiwb.deployment.bundle",
    "BundleRecord": "agiwb.deployment.bundle",
    "ConvertConfig": "agiwb.conversion.convert",
    "ConvertRecord": "agiwb.conversion.convert",
    "DatasetError": "agiwb.errors",
    "DatasetRecord": "agiwb.datasets.add",
    "DemoConfig": "agiwb.batch.demo",
    "DemoRecord": "agiwb.batch.demo",
    "Endpoint": "agiwb.serving.endpoint",
    "EvaluateConfig": "agiwb.evaluation.evaluate",
    "EvaluateRecord": "agiwb.evaluation.evaluate",
    "ExplainConfig": "agiwb.explanation.config",
    "ExplainRecord": "agiwb.explanation.explain",
    "Finding": "agiwb.training.diagnosis.finding",
    "GateConfig": "agiwb.maintenance.gate_config",
    "GateRecord": "agiwb.maintenance.gate",
    "ImportConfig": "agiwb.importing.import_model",
    "ImportRecord": "agiwb.importing.import_model",
    "InputError": "agiwb.errors",
    "LabelNoise": "agiwb.training.diagnosis.label_noise",
    "Job": "agiwb.jobs.job",
    "MatrixConfig": "agiwb.batch.matrix",
    "MatrixRecord": "agiwb.batch.matrix",
    "MaintainConfig": "agiwb.maintenance.maintain_config",
    "MaintainRecord": "agiwb.maintenance.maintain",
    "MonitorConfig": "agiwb.monitoring.monitor",
    "MonitorRecord": "agiwb.monitoring.monitor",
    "NotFoundError": "agiwb.errors",
    "NotebookError": "agiwb.errors",
    "PlanConfig": "agiwb.planning.plan",
    "PlanRecord": "agiwb.planning.plan",
    "PromoteConfig": "agiwb.maintenance.deciding",
    "RangeTestConfig": "agiwb.training.range_test",
    "RangeTestRecord": "agiwb.training.range_test",
    "RetrainConfig": "agiwb.maintenance.retrain",
    "RetrainRecord": "agiwb.maintenance.retrain",
    "RollBackConfig": "agiwb.maintenance.deciding",
    "RunConfig": "agiwb.batch.notebook",
    "RunRecord": "agiwb.batch.notebook",
    "ScoreTextsConfig": "agiwb.evaluation.score_texts",
    "ScoreTextsRecord": "agiwb.evaluation.score_texts",
    "SearchConfig": "agiwb.training.search.config",
    "SearchRecord": "agiwb.training.search.record",
    "ServeConfig": "agiwb.serving.serve",
    "ServingError": "agiwb.errors",
    "SweepConfig": "agiwb.compression.sweep",
    "SweepRecord": "agiwb.compression.sweep",
    "TrainConfig": "agiwb.training.config",
    "TrainRecord": "agiwb.training.train",
    "WorkError": "agiwb.errors",
    "WorkspaceError": "agiwb.errors",
    "add_dataset": "agiwb.datasets.add",
    "add_labels": "agiwb.monitoring.log",
    "add_noise": "agiwb.datasets.perturb",
    "blur": "agiwb.datasets.perturb",
    "bundle": "agiwb.deployment.bundle",
    "candidate_table": "agiwb.reporting.compression",
    "check_input_skew": "agiwb.training.diagnosis.input_skew",
    "convert": "agiwb.conversion.convert",
    "cross_validated_label_noise": "agiwb.training.diagnosis.cross_validation",
    "describe_shadow": "agiwb.reporting.serving",
    "dataset_of": "agiwb.batch.prerequisites",
    "decision_table": "agiwb.reporting.decisions",
    "demo": "agiwb.batch.demo",
    "ensure_artifact": "agiwb.batch.prerequisites",
    "ensure_champion": "agiwb.batch.prerequisites",
    "ensure_model": "agiwb.batch.prerequisites",
    "evaluate": "agiwb.evaluation.evaluate",
    "examine": "agiwb.datasets.quality.examine",
    "explain": "agiwb.explanation.explain",
    "find_label_noise": "agiwb.training.diagnosis.label_noise",
    "findings_table": "agiwb.reporting.diagnosis",
    "gate": "agiwb.maintenance.gate",
    "gate_table": "agiwb.reporting.maintenance",
    "import_model": "agiwb.importing.import_model",
    "join_labels": "agiwb.monitoring.log",
    "list_jobs": "agiwb.jobs.job",
    "load_dataset": "agiwb.datasets.registry",
    "maintain": "agiwb.maintenance.maintain",
    "metrics_table": "agiwb.reporting.tables",
    "monitor": "agiwb.monitoring.monitor",
    "open_job": "agiwb.jobs.job",
    "open_runtime": "agiwb.runtimes.runtime",
    "open_store": "agiwb.runs.store",
    "parity_table": "agiwb.reporting.conversion",
    "plan": "agiwb.planning.plan",
    "plot_diagnosis": "agiwb.reporting.diagnosis",
    "plot_dataset": "agiwb.reporting.datasets",
    "plot_drift": "agiwb.reporting.monitoring",
    "plot_examples": "agiwb.reporting.examples",
    "plot_explanation": "agiwb.reporting.explanation",
    "plot_explanation_slices": "agiwb.reporting.explanation",
    "plot_gate": "agiwb.reporting.maintenance",
    "plot_importance": "agiwb.reporting.search",
    "pack": "agiwb.compression.packed.model",
    "plot_layer_sparsity": "agiwb.reporting.compressed_layers",
    "plot_load_test": "agiwb.reporting.serving",
    "plot_parity": "agiwb.reporting.conversion",
    "plot_plan": "agiwb.reporting.planning",
    "plot_range_test": "agiwb.reporting.diagnosis",
    "plot_search": "agiwb.reporting.search",
    "plot_sensitivity": "agiwb.reporting.compressed_layers",
    "plot_settings": "agiwb.reporting.search",
    "plot_slices": "agiwb.reporting.evaluation",
    "plot_tradeoff": "agiwb.reporting.compression",
    "plot_training": "agiwb.reporting.training",
    "plot_waterfall": "agiwb.reporting.stage_sizes",
    "promote_model": "agiwb.maintenance.deciding",
    "range_test": "agiwb.training.range_test",
    "prediction_folder": "agiwb.monitoring.log",
    "ranking_scores": "agiwb.metrics.ranking",
    "read_predictions": "agiwb.monitoring.log",
    "read_rollups": "agiwb.monitoring.log",
    "quality_table": "agiwb.reporting.datasets",
    "retrain": "agiwb.maintenance.retrain",
    "roll_back_model": "agiwb.maintenance.deciding",
    "rotate": "agiwb.datasets.perturb",
    "run_matrix": "agiwb.batch.matrix",
    "run_notebook": "agiwb.batch.notebook",
    "score_texts": "agiwb.evaluation.score_texts",
    "search": "agiwb.training.search.step",
    "serve": "agiwb.maintenance.endpoints",
    "slice_table": "agiwb.reporting.evaluation",
    "suspects_table": "agiwb.reporting.diagnosis",
    "submit": "agiwb.jobs.job",
    "sweep": "agiwb.compression.sweep",
    "text_scores": "agiwb.metrics.text",
    "train": "agiwb.training.train",
    "unpack_model": "agiwb.compression.packed.model",
    "trial_table": "agiwb.reporting.search",
    "write_warm_up": "agiwb.serving.servables.warm_up",
}

__all__ = sorted([*_HOMES, "__version__"])  # noqa: PLE0605  the table above is the one list


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'agiwb' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
