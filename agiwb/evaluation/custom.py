"""A user's own ``EvalConfig`` on what agiwb's models answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import ConfigError, did_you_mean
from agiwb.evaluation.answers import Answered
from agiwb.evaluation.tfma_engine import import_tfma

_BASELINE_PREFIX = "baseline_"


def named_columns(given: Any, answered: Answered, slices: dict[str, NDArray[Any]]) -> Any:
    """Return an ``EvalConfig`` with a key for each answer, and the columns by these keys.

    A model spec's label key is what the config calls the labels, and its prediction key what it
    calls the model's first output; ``prediction_keys`` name outputs. A weight is a slice column of
    numbers.

    Args:
        given: The user's.
        answered: Labels and answers; a model spec that is the baseline's gets that model's.
        slices: Columns to slice by.

    Raises:
        ConfigError: An output or a column is not there, or a baseline is wanted and none is given.
    """
    from tensorflow_model_analysis.utils import config_util

    config = config_util.update_eval_config_with_defaults(
        given, has_baseline=bool(answered.baseline), rubber_stamp=True
    )
    columns: dict[str, NDArray[Any]] = dict(slices)
    if any(spec.is_baseline for spec in given.model_specs) and not answered.baseline:
        raise ConfigError(
            "`eval_config` compares with a baseline, and there is no model to compare with.",
            "Name one as `baseline`.",
        )
    for spec in config.model_specs:
        outputs = answered.baseline if spec.is_baseline else answered.outputs
        for key in spec.label_keys.values() or [spec.label_key or "label_id"]:
            columns[key] = answered.split.labels
        if not spec.label_keys:
            spec.label_key = spec.label_key or "label_id"
        named = dict(spec.prediction_keys) or {"": spec.prediction_key or "prediction"}
        for output, key in named.items():
            own = f"{_BASELINE_PREFIX}{key}" if spec.is_baseline else key
            columns[own] = _output(outputs, output)
            if output:
                spec.prediction_keys[output] = own
            else:
                spec.prediction_key = own
        if weight := spec.example_weight_key:
            columns[weight] = _weights(weight, columns)
    return config, columns


def failures(folder: Path) -> tuple[bool | None, tuple[str, ...]]:
    """Return TFMA's verdict on the results in ``folder``, and in words what was not passed.

    There is no verdict, None, without a threshold.
    """
    validation = import_tfma().load_validation_result(str(folder))
    told = []
    for entry in validation.metric_validations_per_slice:
        key = entry.slice_key
        if entry.HasField("cross_slice_key"):
            key = entry.cross_slice_key.comparison_slice_key
        pairs = (
            f"{single.column} = {getattr(single, single.WhichOneof('kind'))!r}"
            for single in key.single_slice_keys
        )
        name = ", ".join(pairs).replace("b'", "'")
        where = f"the slice {name}" if name else "all examples"
        for failure in entry.failures:
            value = failure.metric_value.double_value.value
            limit = " ".join(str(failure.metric_threshold).split())
            reason = failure.message.strip() or f"it is {value:.6g}"
            told.append(f"On {where} {failure.metric_key.name} fails {limit}: {reason}.")
    told += [
        f"A threshold is set for a slice without examples: {_one_line(spec)}."
        for spec in validation.missing_slices
    ]
    if not told and not validation.validation_details.slicing_details:
        return None, ()
    return bool(validation.validation_ok), tuple(told)


def _one_line(message: Any) -> str:
    return " ".join(str(message).split())


def _output(outputs: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if not name:
        return next(iter(outputs.values()))
    if name not in outputs:
        raise ConfigError(
            f"`eval_config`: the model has no output {name!r}.", did_you_mean(name, outputs)
        )
    return outputs[name]


def _weights(name: str, columns: dict[str, NDArray[Any]]) -> NDArray[Any]:
    if name not in columns:
        raise ConfigError(
            f"`eval_config`: there is no column {name!r} to weigh examples by.",
            did_you_mean(name, columns),
        )
    try:
        return columns[name].astype(np.float32)
    except ValueError:
        raise ConfigError(
            f"`eval_config`: the column {name!r} cannot weigh examples: it has no numbers.",
            "Name a column of numbers as `example_weight_key`.",
        ) from None
