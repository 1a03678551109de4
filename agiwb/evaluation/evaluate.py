"""The evaluate step: TFMA's figures overall and on every slice, and a verdict."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.any_format import with_own_format
from agiwb.artifacts.resolve import ArtifactSource, dataset_for, resolve_artifact
from agiwb.datasets.dataset import CLASSIFYING, Dataset, Split
from agiwb.datasets.main_metric import graded_task
from agiwb.datasets.registry import load_dataset
from agiwb.errors import ConfigError, DatasetError, did_you_mean
from agiwb.evaluation.answers import Answered, ask_models
from agiwb.evaluation.custom import failures, named_columns
from agiwb.evaluation.engines import run_engine
from agiwb.evaluation.fairness import MOST_CLASSES, judge_fairness
from agiwb.evaluation.fast.tables import write_tables
from agiwb.evaluation.figures import classification_figures, regression_figures
from agiwb.evaluation.record import (
    LABEL_COLUMN,
    TFMA_FOLDER,
    EvaluateConfig,
    EvaluateRecord,
    SliceMetrics,
)
from agiwb.evaluation.tfma_engine import Predictions, import_tfma
from agiwb.runs.context import Context
from agiwb.runs.files import sha256_of_file
from agiwb.runs.step import Input, step

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

__all__ = ["EvaluateConfig", "EvaluateRecord", "SliceMetrics", "evaluate"]


def _inputs(config: EvaluateConfig, store: RunStore) -> dict[str, Input]:
    found = resolve_artifact(config.model, config.format, store)
    data = _load_data(config, found)
    _slice_columns(config, data, data[config.split])
    inputs = {
        "artifact": Input(found.fingerprint, found.run_id),
        "dataset": Input(data.fingerprint),
    }
    if config.baseline:
        other = resolve_artifact(config.baseline, config.format, store)
        inputs["baseline"] = Input(other.fingerprint, other.run_id)
    if config.eval_config:
        from agiwb.evaluation.fast.config_file import require_file

        inputs["eval_config"] = Input(sha256_of_file(require_file(config.eval_config)))
    return inputs


@step("evaluate", inputs=_inputs, settle=with_own_format)
def evaluate(config: EvaluateConfig, context: Context) -> EvaluateRecord:
    """Return the record of an artifact's quality, overall and on every slice.

    Examples to which a model answers with NaN or infinity are left out, counted in ``left_out``
    and told as a problem.

    Raises:
        ConfigError: The data set is not known, has no such slice column, or does not fit.
        NotFoundError: There is no such artifact.
        WorkError: The model answers with NaN or infinity to every example.
    """
    found = resolve_artifact(config.model, config.format, context.store)
    context.confirm("artifact", found.fingerprint)
    other = None
    if config.baseline:
        other = resolve_artifact(config.baseline, config.format, context.store)
        context.confirm("baseline", other.fingerprint)
    data = _load_data(config, found)
    answered = ask_models(found, other, data, config.split)
    context.stop_if_cancelled()
    context.say(
        f"evaluating {found.artifact.name} ({found.artifact.format}) on {len(answered.split)} "
        f"examples of {data.name} with TFMA, which takes about 20 seconds to load"
    )
    import_tfma()
    predictions = Predictions(
        labels=answered.split.labels,
        probabilities=answered.first,
        slices=_slice_columns(config, data, answered.split),
        baseline=answered.first_of_baseline,
    )
    figures = _figures(config, context, predictions, data)
    if config.eval_config:
        figures |= _asked_by_user(config, context, answered, predictions)
    figures |= _with_fairness(config, figures)
    write_tables(context.files / TFMA_FOLDER, context.files)
    left_out = answered.left_out + figures.pop("left_out")
    if left_out:
        told = (
            f"{left_out} of {len(data[config.split])} examples are left out of every figure: a "
            "model's answer, or a weight, is NaN or infinite."
        )
        figures["problems"] += (told,)
    return EvaluateRecord(
        run=context.run,
        config=config,
        dataset=data.name,
        artifact_name=found.artifact.name,
        artifact_format=found.artifact.format,
        classes=data.classes,
        left_out=left_out,
        **figures,
    )


def _figures(
    config: EvaluateConfig, context: Context, predictions: Predictions, data: Dataset
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        # With a config of the user's, the files are the results that it asks for.
        folder = Path(scratch) if config.eval_config else context.files / TFMA_FOLDER
        if data.task in CLASSIFYING:
            return classification_figures(config, context, predictions, data.classes, folder)
        return regression_figures(config, predictions, folder)


def _with_fairness(config: EvaluateConfig, figures: dict[str, Any]) -> dict[str, Any]:
    """Return problems and verdict by all thresholds there are, those of fairness among them."""
    fair, unfair = judge_fairness(
        figures.get("fairness", ()), config.min_parity_ratio, config.max_odds_difference
    )
    verdicts = [one for one in (figures["blessed"], fair) if one is not None]
    return {
        "problems": (*figures["problems"], *unfair),
        "blessed": bool(verdicts) and all(verdicts),
    }


def _asked_by_user(
    config: EvaluateConfig, context: Context, answered: Answered, predictions: Predictions
) -> dict[str, Any]:
    """Write what the user's ``EvalConfig`` asks for, and return its verdict."""
    from agiwb.evaluation.fast.config_file import read_eval_config

    given = read_eval_config(Path(str(config.eval_config)))
    wanted, columns = named_columns(given, answered, predictions.slices)
    folder = context.files / TFMA_FOLDER
    left_out = run_engine(config.engine, columns, wanted, folder, config.beam_place)
    blessed, problems = failures(folder)
    return {"blessed": blessed, "problems": problems, "left_out": left_out}


def _load_data(config: EvaluateConfig, found: ArtifactSource) -> Dataset:
    whose = f"the artifact {found.artifact.name!r}"
    data = load_dataset(dataset_for(config.dataset, found.artifact.dataset, whose))
    if data.task not in CLASSIFYING and graded_task(data) != "regression":
        raise DatasetError(
            f"An evaluation takes data of classes or of numbers; {data.name} is for {data.task}.",
            "Its main metric is in the record of the training.",
        )
    limits = {"min_parity_ratio", "max_odds_difference"}
    given = [name for name in sorted(limits) if getattr(config, name) is not None]
    if given and not 1 < len(data.classes) <= MOST_CLASSES:
        raise ConfigError(
            f"`{given[0]}`: fairness is measured of 2 to {MOST_CLASSES} classes, and {data.name} "
            f"has {len(data.classes) or 'none'}.",
            "Leave it away.",
        )
    return data


def _slice_columns(config: EvaluateConfig, data: Dataset, split: Split) -> dict[str, NDArray[Any]]:
    """Return the columns to slice by; raise ConfigError for one the data set does not have."""
    columns = dict(split.slices)
    if data.classes:
        columns[LABEL_COLUMN] = np.array(data.classes)[split.labels]
    wanted = columns if config.slices is None else dict.fromkeys(config.slices)
    for name in wanted:
        if name not in columns:
            raise ConfigError(
                f"`slices`: the {config.split} split of {data.name} has no slice column {name!r}.",
                did_you_mean(name, columns),
            )
    return {name: columns[name] for name in wanted}
