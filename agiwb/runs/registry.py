"""The table of steps: their names, where they live, and what they do in a line.

Plain data, so that the command line can list every step without importing one.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agiwb.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from agiwb.runs.step import Step


@dataclass(frozen=True)
class StepEntry:
    """Where a step is found (``module:name``) and its summary."""

    target: str
    summary: str


STEPS = {
    "add_dataset": StepEntry(
        "agiwb.datasets.add:add_dataset", "Read your own data, check them, and give them a name."
    ),
    "train": StepEntry("agiwb.training.train:train", "Train a Keras model on a data set."),
    "search": StepEntry(
        "agiwb.training.search.step:search", "Search for a model's best settings, and fit it."
    ),
    "explain": StepEntry(
        "agiwb.explanation.explain:explain", "Show what a model's answers rest on, and by slice."
    ),
    "range_test": StepEntry(
        "agiwb.training.range_test:range_test", "Find a learning rate by a range test."
    ),
    "import_model": StepEntry(
        "agiwb.importing.import_model:import_model",
        "Take in a model made elsewhere, once it is found safe to load.",
    ),
    "sweep": StepEntry(
        "agiwb.compression.sweep:sweep", "Compress a model in several ways and weigh them up."
    ),
    "convert": StepEntry(
        "agiwb.conversion.convert:convert", "Convert a model to other formats, parity-checked."
    ),
    "plan": StepEntry("agiwb.planning.plan:plan", "Say how many servers a load needs, and why."),
    "bundle": StepEntry(
        "agiwb.deployment.bundle:bundle", "Write a folder that deploys a model elsewhere."
    ),
    "evaluate": StepEntry(
        "agiwb.evaluation.evaluate:evaluate", "Evaluate a model with TFMA, overall and sliced."
    ),
    "score_texts": StepEntry(
        "agiwb.evaluation.score_texts:score_texts", "Score generated texts: BLEU, ROUGE and CIDEr."
    ),
    "monitor": StepEntry(
        "agiwb.monitoring.monitor:monitor", "Compare served traffic with the training data."
    ),
    "retrain": StepEntry(
        "agiwb.maintenance.retrain:retrain",
        "Train a challenger on fresh labelled data and the old.",
    ),
    "gate": StepEntry(
        "agiwb.maintenance.gate:gate", "Say whether a challenger may take the champion's place."
    ),
    "maintain": StepEntry(
        "agiwb.maintenance.maintain:maintain",
        "Look after a served model: retrain, try and promote when the policy says so.",
    ),
    "run": StepEntry(
        "agiwb.batch.notebook:run_notebook", "Run a notebook with checked parameters."
    ),
    "matrix": StepEntry(
        "agiwb.batch.matrix:run_matrix", "Run notebooks with many parameters, several at once."
    ),
    "demo": StepEntry(
        "agiwb.batch.demo:demo", "Run the whole life cycle through the notebooks, with a report."
    ),
}


def load_step(name: str) -> Step[Any, Any]:
    """Return the step called ``name``; its module is imported now."""
    if name not in STEPS:
        raise InputError(f"There is no step `{name}`.", did_you_mean(name, STEPS))
    module, _, attribute = STEPS[name].target.partition(":")
    step: Step[Any, Any] = getattr(importlib.import_module(module), attribute)
    return step
