"""Slices: whether a part of the traffic drifted that the whole may hide.

A slice is compared with the same slice of the reference: phones with phones. Only the hours of the
day, which training data do not have, are each compared with the whole reference. All slices of all
columns share one rate of false alarms with all features in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.monitoring.calibration import Calibration, calibrate
from agiwb.monitoring.categories import DriftedCodes, compare_categories
from agiwb.monitoring.chance import chance
from agiwb.monitoring.consequence import WORTH_SAYING, Consequence
from agiwb.monitoring.described import Categories
from agiwb.monitoring.drift import FeatureDrift, Pair, compare_pairs
from agiwb.monitoring.sketches import NumericBins, NumericSketch
from agiwb.monitoring.slice_columns import MOST_VALUES, SliceColumn

FEWEST_ROWS = 30
"""Rows, of the window and of the reference, below which a slice is not judged."""
_MOST_WEIGHED = 3
Weigh = Callable[[NDArray[np.float32], NDArray[np.bool_], Sequence[int]], tuple[Consequence, ...]]
"""Gives what drifted features do, of a reference's numbers, the window's rows and their places."""


class SliceDrift(BaseModel):
    """One slice of the window.

    Attributes:
        column: What it is sliced by.
        value: Of that.
        rows: Rows of the window.
        reference_rows: Rows of the reference that it is compared with.
        judged: Whether both are enough: 30.
        drifted_count: Features that drifted, numbers and categories, by the correction for all
            features and slices.
        feature: The number that drifted most, or the category if no number did; "" if none did.
        effect: Largest Kolmogorov-Smirnov distance of a number that drifted, else of any; of a
            category the Jensen-Shannon distance.
        p_value: Of that feature, adjusted for all features and slices.
        training_mean: Of that feature in this slice of the training data; None of a category.
        window_mean: Of that feature in the window's.
        expected_accuracy: Without labels; None without a row.
        consequences: What the drift of its features does to that, the most harmful first; of the
            three slices that drifted most.
        codes: The categories that drifted, the most divergent first.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    value: str
    rows: int
    reference_rows: int
    judged: bool
    drifted_count: int = 0
    feature: str = ""
    effect: float = 0.0
    p_value: float = 1.0
    training_mean: float | None = None
    window_mean: float | None = None
    expected_accuracy: float | None = None
    consequences: tuple[Consequence, ...] = ()
    codes: tuple[DriftedCodes, ...] = ()

    @property
    def name(self) -> str:
        """The slice in words."""
        return f"{self.column} = {self.value}"


def compare_slices(
    columns: Sequence[SliceColumn],
    window: NDArray[np.float32],
    calibration: Calibration,
    names: Sequence[str],
    rate: float,
    expected: NDArray[np.float64],
    weigh: Weigh,
    categories: Mapping[str, NDArray[Any]] = MappingProxyType({}),
) -> tuple[SliceDrift, ...]:
    """Return each slice, those that drifted first and the strongest drift first.

    Args:
        columns: What is sliced by.
        window: The window's numbers, shape ``(rows, numbers)``.
        calibration: Of the whole reference.
        names: What the numbers are called.
        rate: Share of windows without drift in which any slice may count as drifted.
        expected: Probability that each answer in the window is right, shape ``(rows,)``.
        weigh: Gives what the drift of some features does.
        categories: The window's columns of text by name, shape ``(rows,)``; numbers and categories
            each have half of the rate.
    """
    rate = rate / 2 if categories else rate
    parts = [part for column in columns for part in _parts_of(column)]
    judged = [part for part in parts if part.is_large]
    pairs = [_pair(part, window, names, calibration) for part in judged]
    drifts = dict(zip(map(id, judged), compare_pairs(pairs, rate), strict=True))
    texts = compare_categories([_texts(part, categories) for part in judged], rate)
    codes = dict(zip(map(id, judged), texts, strict=True))
    made = []
    for part in parts:
        drift = drifts.get(id(part))
        told = _described(part, drift, window, names, expected)
        made.append((part, drift, _with_codes(told, codes.get(id(part), ()))))
    made.sort(key=lambda one: (not one[2].drifted_count, not one[2].judged, -one[2].effect))
    found = []
    for place, (part, drift, told) in enumerate(made):
        if drift is not None and told.drifted_count and place < _MOST_WEIGHED:
            order = np.argsort(-drift.effect, kind="stable")
            order = order[drift.drifted[order]][:_MOST_WEIGHED]
            effects = weigh(part.reference, part.inside, order.tolist())
            found.append(told.model_copy(update={"consequences": effects}))
        else:
            found.append(told)
    return tuple(found)


def describe_slices(found: Sequence[SliceDrift]) -> str:
    """Return in words which slices drifted; "" if none did."""
    drifted = [one for one in found if one.drifted_count]
    if not drifted:
        return ""
    worst, judged = drifted[0], sum(one.judged for one in found)
    harmful = [one for one in worst.consequences if one.change <= -WORTH_SAYING]
    cost = (
        f"; expected accuracy {harmful[0].change:+.3f} there because of {harmful[0].feature}"
        if harmful
        else ""
    )
    others = "" if len(drifted) == 1 else f" Also: {', '.join(o.name for o in drifted[1:6])}"
    others += f" and {len(drifted) - 6} more" if len(drifted) > 6 else ""
    return (
        f"{len(drifted)} of {judged} slices drifted, most of all {worst.name} ({worst.rows} rows): "
        f"{_what_drifted(worst)}{cost}.{others}" + ("." if others else "")
    )


def _what_drifted(worst: SliceDrift) -> str:
    if worst.codes and worst.feature == worst.codes[0].feature:
        told = worst.codes[0].sentence.removesuffix(".")
        return f"{told[0].lower()}{told[1:]}"
    return (
        f"{worst.feature} went from {worst.training_mean:.3g} to {worst.window_mean:.3g} on "
        f"average (effect {worst.effect:.2f}, {chance(worst.p_value)})"
    )


def small_slices(found: Sequence[SliceDrift]) -> str:
    """Return in words which slices are too small to be judged; "" if none is."""
    small = [one for one in found if not one.judged]
    if not small:
        return ""
    names = ", ".join(f"{one.name} ({one.rows})" for one in small[:5])
    more = f" and {len(small) - 5} more" if len(small) > 5 else ""
    return (
        f"Too small to be judged, with fewer than {FEWEST_ROWS} rows here or in training: "
        f"{names}{more}."
    )


@dataclass(frozen=True)
class _Part:
    """One slice: its rows of the window, and the reference's numbers that it is compared with."""

    column: str
    value: str
    inside: NDArray[np.bool_]
    reference: NDArray[np.float32]
    categories: Categories
    is_whole_reference: bool

    @property
    def is_large(self) -> bool:
        return min(int(self.inside.sum()), len(self.reference)) >= FEWEST_ROWS


def _parts_of(column: SliceColumn) -> list[_Part]:
    frequent = [value for value, _ in Counter(column.served.tolist()).most_common(MOST_VALUES)]
    parts = []
    for value in sorted(frequent):
        known = slice(None) if column.known is None else column.known == value
        parts.append(
            _Part(
                column=column.name,
                value=value or "missing",
                inside=column.served == value,
                reference=column.reference[known],
                categories={name: texts[known] for name, texts in column.categories.items()},
                is_whole_reference=column.known is None,
            )
        )
    return parts


def _texts(
    part: _Part, window: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Return the columns of text of a slice, but for the one that it is a slice of."""
    return {
        name: (part.categories[name], texts[part.inside])
        for name, texts in window.items()
        if name != part.column
    }


def _pair(
    part: _Part, window: NDArray[np.float32], names: Sequence[str], whole: Calibration
) -> Pair:
    rows = window[part.inside]
    known = NumericSketch.of(NumericBins.from_reference(part.reference, names), part.reference)
    calibration = whole if part.is_whole_reference else calibrate(part.reference, len(rows))
    return Pair(known, NumericSketch.of(known.bins, rows), calibration)


def _described(
    part: _Part,
    drift: FeatureDrift | None,
    window: NDArray[np.float32],
    names: Sequence[str],
    expected: NDArray[np.float64],
) -> SliceDrift:
    rows = int(part.inside.sum())
    told = SliceDrift(
        column=part.column,
        value=part.value,
        rows=rows,
        reference_rows=len(part.reference),
        judged=part.is_large,
        expected_accuracy=float(expected[part.inside].mean()) if rows else None,
    )
    if drift is None or not len(names):
        return told
    place = int(np.argmax(np.where(drift.drifted, 1 + drift.effect, drift.effect)))
    drifted = int(drift.drifted.sum())
    return told.model_copy(
        update={
            "drifted_count": drifted,
            "feature": names[place] if drifted else "",
            "effect": float(drift.effect[place]),
            "p_value": float(drift.p_value[place]),
            "training_mean": _mean(part.reference[:, place]),
            "window_mean": _mean(window[part.inside, place]),
        }
    )


def _with_codes(told: SliceDrift, codes: tuple[DriftedCodes, ...]) -> SliceDrift:
    if not codes:
        return told
    first: dict[str, Any] = {}
    if not told.drifted_count:
        first = {"feature": codes[0].feature, "effect": codes[0].divergence}
        first |= {"p_value": codes[0].p_value, "training_mean": None, "window_mean": None}
    count = told.drifted_count + len(codes)
    return told.model_copy(update={"codes": codes, "drifted_count": count, **first})


def _mean(column: NDArray[Any]) -> float | None:
    finite = column[np.isfinite(column)]
    return float(finite.mean()) if len(finite) else None
