"""The files of an explanation, for those who want more than the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import CLASSIFYING, Dataset, Split
from agiwb.explanation.carry_out import Explanation
from agiwb.explanation.importance import Importance

ATTRIBUTIONS_FILE = "attributions.npz"
EXAMPLES_FILE = "examples.parquet"
FEATURES_FILE = "features.parquet"
WORDS_FILE = "words.parquet"
_KEPT = 200


def write_files(
    made: Explanation, folder: Path, data: Dataset, split: Split, rows: NDArray[np.intp]
) -> None:
    """Write what was found about the examples of ``split``, the ``rows`` of the data's split."""
    import pandas as pd

    pd.DataFrame(_features(made)).to_parquet(folder / FEATURES_FILE)
    attribution, targets = made.attribution, made.targets
    if attribution is None or targets is None:
        return
    arrays: dict[str, Any] = {"contributions": attribution.contributions.astype(np.float32)}
    if made.words:
        pd.DataFrame(_words(made)).to_parquet(folder / WORDS_FILE)
    elif data.features_are_numbers:
        arrays["features"] = split.features
    else:
        arrays["columns"] = np.array(made.names)
    if made.baseline and not made.words:
        arrays["slice_values"] = np.array([group.value for group in made.groups[1:]], dtype=str)
        arrays["slice_means"] = np.stack([group.figures[0] for group in made.groups])[1:]
    np.savez_compressed(folder / ATTRIBUTIONS_FILE, **arrays)
    classes = np.array(data.classes or ("",))
    labels = classes[split.labels] if data.task in CLASSIFYING else None
    pd.DataFrame(
        {
            "row": rows,
            "label": labels if labels is not None else [str(label) for label in split.labels],
            "target": classes[targets],
            "answer": attribution.answers,
            "reference_answer": attribution.reference_answers,
            "gap": attribution.gaps,
            **({} if attribution.steps is None else {"steps": attribution.steps}),
        }
    ).to_parquet(folder / EXAMPLES_FILE)


def _features(made: Explanation) -> list[dict[str, Any]]:
    """Return a row for each feature and group; every group has those that matter overall."""
    overall = made.top_features(_KEPT)
    rows = [_row("", "", one) for one in overall]
    shared = tuple(one.feature for one in overall)
    for part in made.top_features_of_slices(_KEPT, also=shared):
        rows += [_row(part.column, part.value, one) for one in part.features]
    return rows


def _row(column: str, value: str, one: Importance) -> dict[str, Any]:
    return {
        "slice_column": column,
        "slice_value": value,
        "feature": one.feature,
        "importance": one.importance,
        "low": one.interval.low,
        "high": one.interval.high,
    }


def _words(made: Explanation) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = {"example": [], "position": [], "word": [], "attribution": []}
    values = made.attribution.contributions if made.attribution else np.empty((0, 0))
    for example, (words, row) in enumerate(zip(made.words, values, strict=True)):
        for position, (word, value) in enumerate(zip(words, row, strict=False)):
            table["example"].append(example)
            table["position"].append(position)
            table["word"].append(word)
            table["attribution"].append(float(value))
    return table
