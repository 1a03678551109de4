"""Columns as the extracts that TFMA's metrics read, without the rows that have no number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import ConfigError, did_you_mean

Columns = Mapping[str, NDArray[Any]]
"""Values by column, each of shape ``(rows,)`` or ``(rows, values)``."""

Extracts = dict[str, Any]
"""TFMA's names for what metrics read: features, labels, predictions and example weights; each an
array of shape ``(rows, values)``, or a mapping of model or output names to such arrays."""

_FIELDS = {
    "labels": ("label_key", "label_keys"),
    "predictions": ("prediction_key", "prediction_keys"),
    "example_weights": ("example_weight_key", "example_weight_keys"),
}


def to_extracts(columns: Columns, eval_config: Any) -> Extracts:
    """Return what the model specs of ``eval_config`` name among ``columns``.

    Raises:
        ConfigError: A model spec names a column that is not there.
    """
    from tensorflow_model_analysis.utils import model_util

    _require_named(columns, eval_config)
    features = {name: _rows_of_values(values) for name, values in columns.items()}
    extracts: Extracts = {"features": features}
    for name, (one, several) in _FIELDS.items():
        found = model_util.get_feature_values_for_model_spec_field(
            list(eval_config.model_specs), one, several, {"features": features}, name == "labels"
        )
        if found is not None:
            extracts[name] = found
    return extracts


def count_rows(extracts: Extracts) -> int:
    """Return the number of rows."""
    return len(next(iter(extracts["features"].values())))


def take_rows(extracts: Any, index: Any) -> Any:
    """Return the rows at ``index``; one number gives each value of that row."""
    return _mapped(extracts, lambda values: values[index])


def without_broken(extracts: Extracts) -> tuple[Extracts, dict[str, int]]:
    """Return the rows whose labels, predictions and weights are all numbers, and what was left out.

    A NaN or an infinity would turn every sum it enters into NaN, and TFMA stops at the first. A
    row is left out for all models at once, so that their differences stay differences between the
    same rows.

    Returns:
        The rows, and how many have a broken value, by the place where it is.
    """
    count = count_rows(extracts)
    broken = {}
    for name in _FIELDS:
        mask = np.zeros(count, bool)
        for values in _leaves(extracts.get(name)):
            if values.dtype.kind == "f":
                mask |= ~np.isfinite(values).reshape(count, -1).all(axis=1)
        if mask.any():
            broken[name] = mask
    if not broken:
        return extracts, {}
    kept = np.flatnonzero(~np.logical_or.reduce(list(broken.values())))
    counts = {name: int(mask.sum()) for name, mask in broken.items()}
    return take_rows(extracts, kept), counts | {"rows": count - len(kept)}


def _rows_of_values(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.ndim > 1 else values[:, None]


def _mapped(values: Any, change: Callable[[NDArray[Any]], Any]) -> Any:
    if isinstance(values, Mapping):
        return {name: _mapped(part, change) for name, part in values.items()}
    return values if values is None else change(values)


def _leaves(values: Any) -> list[NDArray[Any]]:
    if isinstance(values, Mapping):
        return [leaf for part in values.values() for leaf in _leaves(part)]
    return [] if values is None else [values]


def _require_named(columns: Columns, eval_config: Any) -> None:
    for spec in eval_config.model_specs:
        for one, several in _FIELDS.values():
            for name in filter(None, (getattr(spec, one), *getattr(spec, several).values())):
                if name not in columns:
                    raise ConfigError(
                        f"`{one}` of a model spec: there is no column {name!r}.",
                        did_you_mean(name, columns),
                    )
