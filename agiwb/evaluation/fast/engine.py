"""The fast engine: an ``EvalConfig`` and columns in, TFMA's figures and verdict out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from agiwb.errors import AgiwbError, ConfigError, WorkError
from agiwb.evaluation.fast.array_histogram import walked_as_arrays
from agiwb.evaluation.fast.examples import Columns, count_rows, to_extracts, without_broken
from agiwb.evaluation.fast.graph import SliceMetrics
from agiwb.evaluation.fast.passes import Passes
from agiwb.evaluation.fast.slices import Slicing

_BATCH_VALUES = 4_000_000
"""Predictions in one batch: what is computed of them at once takes some 0.5 GB."""

_LONGEST_MESSAGE = 400


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        eval_config: TFMA's, with its defaults filled in.
        metrics: Values of each slice, and of each pair of slices compared, by TFMA's keys.
        plots: Its plots likewise.
        validation: TFMA's ``ValidationResult``: every threshold, and whether all were passed.
        rows: Rows that were evaluated.
        excluded: Rows left out because of a NaN or an infinity: by where it was, and ``rows``.
        row_by_row: Combiners without an array form, which TFMA's own code fed row by row.
    """

    eval_config: Any
    metrics: SliceMetrics
    plots: SliceMetrics
    validation: Any
    rows: int
    excluded: dict[str, int] = field(default_factory=dict)
    row_by_row: tuple[str, ...] = ()


def evaluate_columns(
    batches: Iterable[Columns],
    eval_config: Any,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Return what TFMA's metrics are on rows that come in batches; memory is that of one batch.

    Metrics specs with a ``query_key`` are the exception: all rows are kept for them, as one query's
    may come anywhere.

    Args:
        batches: Columns by the names that the config's model specs and slicing specs have.
        eval_config: TFMA's ``EvalConfig``.
        progress: Told the number of rows done after each batch.

    Raises:
        ConfigError: The config names a column, metric or option that is not there.
        WorkError: No row has numbers only, or TFMA fails.
    """
    try:
        return _evaluated(batches, eval_config, progress)
    except AgiwbError:
        raise
    except Exception as error:  # a metric may raise anything, in thousands of lines
        told = " ".join(str(error).split())[:_LONGEST_MESSAGE]
        raise WorkError(
            f"TFMA could not compute a metric: {type(error).__name__}: {told}",
            "Check the metric's name and options, and that labels and predictions suit it.",
        ) from error


def _evaluated(
    batches: Iterable[Columns], given: Any, progress: Callable[[int], None]
) -> Evaluation:
    eval_config = with_defaults(given)
    slicing = Slicing(eval_config)
    passes = [
        Passes(query_key, specs, eval_config)
        for query_key, specs in _specs_by_query(eval_config).items()
    ]
    rows = 0
    excluded: dict[str, int] = {}
    for columns in split_batches(batches):
        extracts, broken = without_broken(to_extracts(columns, eval_config))
        for name, count in broken.items():
            excluded[name] = excluded.get(name, 0) + count
        if not (taken := count_rows(extracts)):
            continue
        membership = slicing.membership(extracts["features"], taken)
        for each in passes:
            each.add(extracts, membership)
        rows += taken
        progress(rows)
    if not rows:
        raise WorkError(
            f"There is no row to evaluate; {excluded.get('rows', 0)} were left out, as their "
            "labels, predictions or weights are NaN or infinite.",
            "Check the data, and train or convert the model again.",
        )
    least = max(eval_config.options.min_slice_size.value, 1)
    found: SliceMetrics = {}
    with walked_as_arrays():
        for each in passes:
            for key, values in each.results(slicing, least).items():
                found.setdefault(key, {}).update(values)
    metrics, plots = _by_kind(found)
    names = tuple(dict.fromkeys(name for each in passes for name in each.row_by_row))
    validation = _validated(metrics, eval_config)
    return Evaluation(eval_config, metrics, plots, validation, rows, excluded, names)


def with_defaults(given: Any) -> Any:
    """Return the ``EvalConfig`` with TFMA's defaults; intervals are bootstrapped unless it says.

    Raises:
        ConfigError: It has change thresholds and no baseline model.
    """
    from tensorflow_model_analysis.proto import config_pb2
    from tensorflow_model_analysis.utils import config_util

    eval_config = config_pb2.EvalConfig()
    eval_config.CopyFrom(given)
    intervals = eval_config.options.confidence_intervals
    if eval_config.options.compute_confidence_intervals.value and not intervals.method:
        intervals.method = config_pb2.ConfidenceIntervalOptions.POISSON_BOOTSTRAP
    baseline = any(spec.is_baseline for spec in eval_config.model_specs)
    try:
        return config_util.update_eval_config_with_defaults(eval_config, has_baseline=baseline)
    except RuntimeError:
        raise ConfigError(
            "The EvalConfig has a change threshold, and no model to compare with.",
            "Name one as `baseline`.",
        ) from None


def split_batches(batches: Iterable[Columns]) -> Iterator[Columns]:
    """Yield the batches in pieces whose predictions are few enough for memory."""
    for columns in batches:
        rows = len(next(iter(columns.values())))
        widest = max(values[:1].size for values in columns.values())
        step = max(_BATCH_VALUES // max(widest, 1), 1)
        for start in range(0, rows, step):
            yield {name: values[start : start + step] for name, values in columns.items()}


def _specs_by_query(eval_config: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for spec in eval_config.metrics_specs:
        found.setdefault(spec.query_key, []).append(spec)
    return found


def _by_kind(found: SliceMetrics) -> tuple[SliceMetrics, SliceMetrics]:
    from tensorflow_model_analysis.metrics import metric_types

    metrics: SliceMetrics = {}
    plots: SliceMetrics = {}
    for key, values in found.items():
        metrics[key] = {}
        plots[key] = {}
        for name, value in values.items():
            plot = isinstance(name, metric_types.PlotKey)
            (plots if plot else metrics)[key][name] = value
    return metrics, plots


def _validated(metrics: SliceMetrics, eval_config: Any) -> Any:
    from tensorflow_model_analysis.evaluators import metrics_validator
    from tensorflow_model_analysis.writers.metrics_plots_and_validations_writer import (
        CombineValidations,
    )

    combine = CombineValidations(eval_config)
    state = combine.create_accumulator()
    for entry in metrics.items():
        state = combine.add_input(state, metrics_validator.validate_metrics(entry, eval_config))
    return combine.extract_output(state)
