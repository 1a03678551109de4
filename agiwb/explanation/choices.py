"""What a config leaves open, decided from the data; and what does not go together, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import CLASSIFYING, Dataset, Split
from agiwb.errors import ConfigError, did_you_mean
from agiwb.explanation.config import Baseline, ExplainConfig, Method

LABEL_COLUMN = "label"
"""The slice column that data with one class an example have: the name of the true class."""

_MOST_COLUMNS = 256
_USUAL_EXAMPLES = {"integrated_gradients": 64, "permutation": 2000, "shap": 64}
_OTHER_FORMATS = frozenset({".onnx", ".tflite", ".pb", ".h5", ".pt", ".pkl"})


def require_keras_model(reference: str) -> None:
    """Raise ConfigError if ``reference`` is the path of an artifact, or of another file's."""
    path = Path(reference)
    if path.is_dir() or path.suffix in _OTHER_FORMATS:
        what = "a folder" if path.is_dir() else f"a {path.suffix} file"
        raise ConfigError(
            f"`model`: {reference} is {what}, and only a Keras model can be opened and explained.",
            "Give the model that it was converted from: a registered name, a run or a .keras file.",
        )


def choose_method(config: ExplainConfig, data: Dataset) -> Method:
    """Return the method; raise ConfigError if the one asked for does not suit the data."""
    if data.kind == "pairs":
        raise ConfigError(
            f"`dataset`: {data.name} is pairs of user and item; their names are all there is to "
            "explain.",
            "Explain takes images, arrays, sequences, audio, text and tables.",
        )
    if config.method == "auto":
        return "permutation" if data.kind == "table" else "integrated_gradients"
    if config.method == "integrated_gradients" and data.kind == "table":
        raise ConfigError(
            "`method` integrated_gradients needs a path of numbers, and a table may have texts "
            "and gaps.",
            "Use `method: permutation` or `method: shap`.",
        )
    columns = len(data.columns) or int(np.prod(data.feature_shape))
    suits = data.kind != "text" and columns <= _MOST_COLUMNS
    if config.method != "integrated_gradients" and not suits:
        found = "text" if data.kind == "text" else f"{columns} features"
        raise ConfigError(
            f"`method` {config.method} changes one column at a time, of {_MOST_COLUMNS} at most; "
            f"{data.name} is {found}.",
            "Use `method: integrated_gradients`.",
        )
    return config.method


def choose_baseline(config: ExplainConfig, data: Dataset) -> Baseline:
    """Return where the paths of integrated gradients begin.

    Raises:
        ConfigError: Texts, which begin at padding, are asked to begin at a mean.
    """
    if data.kind == "text":
        if config.baseline == "mean":
            raise ConfigError(
                "`baseline` mean is for numbers; a text starts from padding.", "Leave it at auto."
            )
        return "padding"
    if config.baseline == "auto":
        return "zeros" if data.kind in {"image", "audio"} else "mean"
    return config.baseline


def sampled_rows(config: ExplainConfig, method: Method, available: int) -> NDArray[np.intp]:
    """Return the rows of the split to explain, spread evenly over it."""
    count = min(config.examples or _USUAL_EXAMPLES[method], available)
    return np.linspace(0, available - 1, count).round().astype(np.intp)


def require_slice_column(config: ExplainConfig, data: Dataset) -> None:
    """Raise ConfigError unless the data have the slice column that is asked for."""
    known = [*data[config.split].slices, *([LABEL_COLUMN] if data.task in CLASSIFYING else [])]
    if config.slice_column is None or config.slice_column in known:
        return
    hint = did_you_mean(config.slice_column, known) if known else "It has none: leave it away."
    raise ConfigError(
        f"`slice_column`: the {config.split} split of {data.name} has no column "
        f"{config.slice_column!r}.",
        hint,
    )


def slice_values(
    config: ExplainConfig, data: Dataset, split: Split
) -> tuple[str, NDArray[Any]] | None:
    """Return the name of the slice column and its values, ``(examples,)``, if there is one."""
    wanted = config.slice_column
    if wanted is not None and wanted in split.slices:
        return wanted, split.slices[wanted]
    if data.task in CLASSIFYING:
        return LABEL_COLUMN, np.array(data.classes)[split.labels]
    return None
