"""The record's figures by field, from agiwb's own metrics for the task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agiwb.datasets.dataset import SplitName
from agiwb.evaluation.asked import Thresholds, eval_config, with_views
from agiwb.evaluation.confusion import macro_scores
from agiwb.evaluation.engines import run_engine
from agiwb.evaluation.fairness import (
    Fairness,
    measure_fairness,
    worst_odds,
    worst_parity,
)
from agiwb.evaluation.record import (
    LABEL_COLUMN,
    SLICES_FILE,
    EvaluateConfig,
    SliceMetrics,
    Verdict,
)
from agiwb.evaluation.regression import read_errors, regression_config
from agiwb.evaluation.tfma_engine import (
    Predictions,
    Scores,
    SliceKey,
    TfmaResult,
    read_tfma,
)
from agiwb.runs.context import Context
from agiwb.statistics import Interval, wilson_interval


def classification_figures(
    config: EvaluateConfig,
    context: Context,
    predictions: Predictions,
    classes: Sequence[str],
    folder: Path,
) -> dict[str, Any]:
    """Return the record's fields for classes; TFMA's files are written into ``folder``.

    What is ``blessed`` is so by its accuracy alone.
    """
    wanted = eval_config(predictions, _thresholds(config))
    if config.engine == "fast":  # Beam would take minutes for it
        wanted = with_views(wanted, predictions)
    left_out = run_engine(config.engine, predictions.columns(), wanted, folder, config.beam_place)
    result = read_tfma(folder, predictions.probabilities.shape[1])
    slices = tuple(_slice_metrics(config, key, result) for key in result.slices)
    _write_parquet(slices, context.files / SLICES_FILE)
    fairness = measure_fairness(
        predictions.labels,
        predictions.probabilities.argmax(axis=1),
        {name: values for name, values in predictions.slices.items() if name != LABEL_COLUMN},
        classes,
        config.min_slice_size,
    )
    return {
        "metrics": _metrics(config.split, result)
        | (_of_fairness(config.split, fairness) if len(classes) == 2 else {}),
        "problems": _problems(config, result),
        "fairness": fairness,
        "examples": result.overall.examples,
        "accuracy_interval": _interval(result.overall),
        "slices": slices,
        "confusion": tuple(tuple(row) for row in result.confusion.tolist()),
        "blessed": result.blessed,
        "left_out": left_out,
    }


def _of_fairness(split: SplitName, found: Sequence[Fairness]) -> dict[str, float]:
    """Return the worst disparities over all columns."""
    parity, odds = worst_parity(found), worst_odds(found)
    made = {}
    if parity is not None and parity[1].ratio is not None:
        made[f"{split}_parity_ratio"] = parity[1].ratio
    if odds is not None:
        made[f"{split}_odds_difference"] = odds[1].difference
    return made


def regression_figures(
    config: EvaluateConfig, predictions: Predictions, folder: Path
) -> dict[str, Any]:
    """Return the record's fields for numbers; TFMA's files are written into ``folder``.

    Without a threshold ``blessed`` is None.
    """
    wanted = regression_config(predictions, config.max_mae)
    left_out = run_engine(config.engine, predictions.columns(), wanted, folder, config.beam_place)
    overall, errors = read_errors(folder)
    problems: tuple[str, ...] = ()
    if config.max_mae is not None and not overall.mae <= config.max_mae:
        told = f"On all examples the mean absolute error is {overall.mae:.4g}"
        problems = (f"{told}, above the limit of {config.max_mae:g}.",)
    names = ("mae", "rmse", "bias")
    return {
        "metrics": {f"{config.split}_{name}": getattr(overall, name) for name in names},
        "problems": problems,
        "examples": overall.examples,
        "accuracy_interval": None,
        "errors": errors,
        "blessed": None if config.max_mae is None else not problems,
        "left_out": left_out,
    }


def _thresholds(config: EvaluateConfig) -> Thresholds:
    return Thresholds(config.min_accuracy, config.min_slice_accuracy, config.min_slice_size)


def _interval(scores: Scores) -> Interval:
    return wilson_interval(scores.correct, scores.examples)


def _slice_metrics(config: EvaluateConfig, key: SliceKey, result: TfmaResult) -> SliceMetrics:
    scores = result.slices[key]
    verdict: Verdict = "failed" if key in result.failed else "passed"
    return SliceMetrics(
        column=key[0],
        value=key[1],
        examples=scores.examples,
        accuracy=scores.accuracy,
        accuracy_interval=_interval(scores),
        loss=scores.loss,
        verdict="too small" if scores.examples < config.min_slice_size else verdict,
    )


def _metrics(split: SplitName, result: TfmaResult) -> dict[str, float]:
    macro = macro_scores(result.confusion)
    return {
        f"{split}_accuracy": result.overall.accuracy,
        f"{split}_loss": result.overall.loss,
        f"{split}_macro_precision": macro.precision,
        f"{split}_macro_recall": macro.recall,
        f"{split}_macro_f1": macro.f1,
    }


def _problems(config: EvaluateConfig, result: TfmaResult) -> tuple[str, ...]:
    found = []
    if result.overall_failed:
        found.append(_shortfall("all examples", result.overall, config.min_accuracy))
    for key in sorted(result.failed):
        name = f"the slice {key[0]} = {key[1]}"
        found.append(_shortfall(name, result.slices[key], config.min_slice_accuracy))
    return tuple(found)


def _shortfall(name: str, scores: Scores, least: float) -> str:
    low, high = _interval(scores)
    return (
        f"On {name} the accuracy is {scores.accuracy:.4f} ({scores.correct} of {scores.examples} "
        f"right; 95 % interval {low:.3f} to {high:.3f}), below the threshold of {least:g}."
    )


def _write_parquet(slices: tuple[SliceMetrics, ...], path: Path) -> None:
    """Keep the slices' figures where dashboards can read them without loading TFMA."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number = pa.string(), pa.float64()
    schema = pa.schema(
        [
            ("column", text),
            ("value", text),
            ("examples", pa.int64()),
            ("accuracy", number),
            ("accuracy_low", number),
            ("accuracy_high", number),
            ("loss", number),
            ("verdict", text),
        ]
    )
    rows = []
    for entry in slices:
        low, high = entry.accuracy_interval
        bounds = {"accuracy_low": low, "accuracy_high": high}
        rows.append(entry.model_dump(exclude={"accuracy_interval"}) | bounds)
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
