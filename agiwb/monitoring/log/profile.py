"""The profile of a model's traffic: what of it is counted, and over which bins.

Rollups of different hours can be added because they share a profile. It is made once, from the
reference or from the first rows served, and belongs to requests of one form: the same inputs of the
same shapes. A model whose new version takes other inputs has one profile more.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.columns import is_sliceable
from agiwb.errors import ConfigError, did_you_mean
from agiwb.monitoring.drift import feature_names
from agiwb.monitoring.sketches import BINS, NumericBins
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.prediction_log.examples import Examples

SCORE, LATENCY, PREDICTED = "score", "latency_ms", "predicted"
"""Features besides the inputs': the highest probability (or the only number) of the answer,
milliseconds of the request, and the class answered."""

_MOST_FEATURES = 1024
"""Beyond, an input's examples are counted by their mean and deviation alone."""
_MOST_CATEGORIES, _MOST_SLICES = 1000, 100
_MOST_SLICED = 3
_FORMAT = 2
"""Of the cells; those of another one are not read but counted anew."""

Form = tuple[tuple[str, bool, tuple[int, ...]], ...]
"""Of each input, and of the first output under "": name, whether it is text, shape of an example"""


@dataclass(frozen=True)
class Profile:
    """What of the traffic of one form is counted.

    Attributes:
        form: The requests it is about.
        bins: Of the numeric features, the score and the latency.
        categories: The known categories of each feature that has categories.
        slices: Which of these are sliced by.
        created: Unix time in seconds.
    """

    form: Form
    bins: NumericBins
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    slices: tuple[str, ...] = ()
    created: float = 0.0

    @property
    def identifier(self) -> str:
        """Twelve hexadecimal digits that follow from all but ``created``."""
        content = json.dumps(
            [_FORMAT, self.form, self.bins.fingerprint, dict(self.categories), self.slices],
            sort_keys=True,
        )
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def numbers(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Return the numeric features of columns as ``columns_of`` makes them, in our order."""
        return np.column_stack([columns[name].astype(np.float64) for name in self.bins.names])


def form_of(examples: Examples) -> Form:
    """Return the form of the requests that the examples were asked in."""
    answer = next(iter(examples.outputs.values()), None)
    tensors = [*examples.inputs.items(), *([] if answer is None else [("", answer)])]
    return tuple((name, array.dtype.kind == "O", array.shape[1:]) for name, array in tensors)


def columns_of(examples: Examples, latency_ms: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Return each feature as a column of shape ``(rows,)``, with score, latency and class.

    Args:
        examples: Of one form.
        latency_ms: Of each example's request, shape ``(rows,)``.
    """
    columns: dict[str, NDArray[Any]] = {}
    several = len(examples.inputs) > 1
    for name, array in examples.inputs.items():
        if array.dtype.kind in "OSUbiuf":
            columns |= _of_input(name if several else "", array)
    columns |= _of_answer(examples.outputs)
    return columns | {LATENCY: latency_ms}


def worth_slicing(columns: Mapping[str, NDArray[Any]]) -> tuple[str, ...]:
    """Return the columns of text with few values, at most three: each multiplies the rollups."""
    texts = {
        name: np.array([category_text(value) for value in column.tolist()])
        for name, column in columns.items()
        if column.dtype.kind in "OSU"
    }
    return tuple(name for name, column in texts.items() if is_sliceable(column))[:_MOST_SLICED]


def fit_profile(
    form: Form,
    columns: Mapping[str, NDArray[Any]],
    *,
    categorical: Sequence[str] = (),
    slices: Sequence[str] = (),
) -> Profile:
    """Return the profile whose bins hold equal shares of ``columns``; scores have even bins.

    Args:
        form: Of the requests.
        columns: What ``columns_of`` made of the reference, or of the first rows.
        categorical: Numeric columns whose values are categories; text and the predicted class are.
        slices: Columns with categories by which every other is counted as well.

    Raises:
        ConfigError: A column named does not exist, or has too many categories to slice by.
    """
    for name in (*categorical, *slices):
        if name not in columns:
            raise ConfigError(f"The log has no feature {name!r}.", did_you_mean(name, columns))
    of_categories = [
        name for name, column in columns.items() if column.dtype.kind in "OSU" or name == PREDICTED
    ]
    of_categories += [name for name in categorical if name not in of_categories]
    categories = {name: _known(columns[name]) for name in of_categories}
    if PREDICTED in categories:  # the first rows need not hold every class
        categories[PREDICTED] = tuple(map(str, range(math.prod(form[-1][2]))))
    for name in slices:
        if not 0 < len(categories.get(name, ())) <= _MOST_SLICES:
            raise ConfigError(
                f"The feature {name!r} cannot be sliced by: it has no categories, or more than "
                f"{_MOST_SLICES}.",
                "Slice by a feature with few values; if it is numeric, name it in `categorical`.",
            )
    numeric = [name for name in columns if name not in categories]
    matrix = np.column_stack([columns[name].astype(np.float64) for name in numeric])
    bins = NumericBins.from_reference(matrix, numeric)
    if SCORE in numeric and _are_probabilities(columns[SCORE]):
        edges = bins.edges.copy()
        edges[numeric.index(SCORE)] = [np.nextafter(0, -1), *np.linspace(0, 1, BINS - 2)]
        bins = NumericBins(bins.names, edges)
    return Profile(form, bins, categories, tuple(slices), time.time())


def count_categories(column: NDArray[Any]) -> dict[str, int]:
    """Return how often each category is in a column, as text; what has none is under ""."""
    if column.dtype.kind in "OSU":
        return dict(Counter(map(category_text, column.tolist())))
    values, counts = np.unique(column, return_counts=True, equal_nan=True)
    found: Counter[str] = Counter()
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        found[category_text(value)] += count
    return dict(found)


def category_text(value: Any) -> str:
    """Return a category as text: whole numbers without a point, "" for None and NaN."""
    if value is None or value != value:  # noqa: PLR0124  NaN
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return (
        f"{value:.9g}"
        if isinstance(value, float)
        else str(int(value) if isinstance(value, bool) else value)
    )


def save_profile(folder: Path, profile: Profile) -> Path:
    """Keep a profile below ``folder``; return where. It is the one of its form from now on."""
    from agiwb.monitoring.log.shards import make_folder
    from agiwb.serving.prediction_log.places import DRAFT_SUFFIX

    path = folder / profile.identifier / "profile.json"
    make_folder(path.parent)
    content = {
        "form": profile.form,
        "names": profile.bins.names,
        "edges": profile.bins.edges.tolist(),
        "categories": dict(profile.categories),
        "slices": profile.slices,
        "created": profile.created,
    }
    draft = path.with_name(path.name + DRAFT_SUFFIX)
    draft.write_text(json.dumps(content), "utf-8")
    draft.rename(path)
    return path


def profiles_in(*folders: Path) -> list[Profile]:
    """Return the newest profile of each form kept below folders, the newest first."""
    found = [_read(path) for folder in folders for path in folder.glob("*/profile.json")]
    newest: dict[Form, Profile] = {}
    for profile in sorted(found, key=lambda one: one.created, reverse=True):
        newest.setdefault(profile.form, profile)
    return list(newest.values())


def _read(path: Path) -> Profile:
    content = json.loads(path.read_text("utf-8"))
    return Profile(
        form=tuple((name, is_text, tuple(shape)) for name, is_text, shape in content["form"]),
        bins=NumericBins(tuple(content["names"]), np.array(content["edges"], np.float64)),
        categories={name: tuple(known) for name, known in content["categories"].items()},
        slices=tuple(content["slices"]),
        created=content["created"],
    )


def _of_input(prefix: str, array: NDArray[Any]) -> dict[str, NDArray[Any]]:
    flat = array.reshape(len(array), -1)
    if flat.shape[1] > _MOST_FEATURES:
        if array.dtype.kind in "OSU":
            return {}
        return {
            f"{prefix or 'input'}.mean": flat.mean(axis=1, dtype=np.float64),
            f"{prefix or 'input'}.deviation": flat.std(axis=1, dtype=np.float64),
        }
    names = feature_names(array.shape[1:])
    if prefix and flat.shape[1] == 1:
        names = ("",)
    return {
        f"{prefix}.{name}".strip("."): column for name, column in zip(names, flat.T, strict=True)
    }


def _of_answer(outputs: Tensors) -> dict[str, NDArray[Any]]:
    answer = next(iter(outputs.values()), None)
    if answer is None or answer.dtype.kind not in "biuf" or answer.size == 0:
        return {}
    flat = answer.reshape(len(answer), -1)
    if flat.shape[1] == 1:
        return {SCORE: flat[:, 0]}
    sound = np.isfinite(flat).all(axis=1)
    return {SCORE: flat.max(axis=1), PREDICTED: np.where(sound, flat.argmax(axis=1), np.nan)}


def _known(column: NDArray[Any]) -> tuple[str, ...]:
    """Return the categories of a column; none if there are too many to be known."""
    known = sorted(text for text in count_categories(column) if text)
    return tuple(known) if len(known) <= _MOST_CATEGORIES else ()


def _are_probabilities(scores: NDArray[Any]) -> bool:
    finite = scores[np.isfinite(scores)]
    return bool(len(finite) and finite.min() >= 0 and finite.max() <= 1)
