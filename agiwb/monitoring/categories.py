"""Categories: columns of text, and codes, whose few whole numbers may name categories.

The distance of distribution functions takes codes for amounts: it overlooks a code that was never
seen between two others, and is weak where neighbouring codes change places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.monitoring.chance import chance
from agiwb.monitoring.distances import CategoryDistance, measure_categories
from agiwb.monitoring.sketches import CategoryCounts

_MOST_CODES = 12
_MOST_CATEGORIES = 1000


class DriftedCodes(BaseModel):
    """A feature whose codes or categories come in other proportions.

    Attributes:
        feature: What it is called.
        divergence: Jensen-Shannon distance of the shares, base 2, 0 to 1.
        unseen_share: Share of rows with one that the reference never held.
        unseen: A few of those.
        p_value: Adjusted for all features of codes and categories that were compared.
        sentence: All of it in words.
    """

    model_config = ConfigDict(frozen=True)

    feature: str
    divergence: float
    unseen_share: float
    unseen: tuple[str, ...]
    p_value: float
    sentence: str


def compare_codes(
    reference: NDArray[np.floating[Any]],
    window: NDArray[np.floating[Any]],
    names: Sequence[str],
    dispersion: NDArray[np.float64],
    rate: float,
    categories: Mapping[str, tuple[NDArray[Any], NDArray[Any]]] = MappingProxyType({}),
) -> tuple[DriftedCodes, ...]:
    """Return the features of codes or categories that drifted, the most divergent first.

    A feature is one of codes if the reference holds 2 to 12 different values, and these and the
    window's are whole.

    Args:
        reference: Shape ``(rows, features)``.
        window: The same of the window; values that are not finite are left out.
        names: What the features are called.
        dispersion: How many rows say as much as an independent one (see ``Calibration``).
        rate: Share of windows without drift in which any feature may count as drifted.
        categories: Columns of text by name, the reference's and the window's, shape ``(rows,)``.
            Beyond the 1,000 most frequent, the reference's count as one.
    """
    compared: list[_Compared] = []
    for place, (known, served) in enumerate(zip(reference.T, window.T, strict=True)):
        if not _are_codes(known) or not _are_whole(served[np.isfinite(served)]):
            continue
        counts = _counted(known)
        its = _counted(served, counts.known)
        found = measure_categories(counts, its, dispersion=float(dispersion[place]))
        compared.append(_Compared(names[place], "codes", its, found))
    compared += _compare_texts(categories)
    return _drifted([compared], rate)[0]


def compare_categories(
    groups: Sequence[Mapping[str, tuple[NDArray[Any], NDArray[Any]]]], rate: float
) -> tuple[tuple[DriftedCodes, ...], ...]:
    """Return the columns of text that drifted in each of several groups of rows.

    All columns of all groups share one ``rate``; else as ``compare_codes``.

    Args:
        groups: Of each its columns by name, the reference's and the window's.
        rate: Share of windows without drift in which any column of any group may count as drifted.
    """
    return _drifted([_compare_texts(one) for one in groups], rate)


@dataclass(frozen=True)
class _Compared:
    name: str
    kind: Literal["codes", "categories"]
    served: CategoryCounts
    found: CategoryDistance


def _compare_texts(
    categories: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
) -> list[_Compared]:
    made = []
    for name, (texts, served_texts) in categories.items():
        frequent = [text for text, _ in Counter(texts.tolist()).most_common(_MOST_CATEGORIES)]
        counts, its = (CategoryCounts.of(one.tolist(), frequent) for one in (texts, served_texts))
        made.append(_Compared(name, "categories", its, measure_categories(counts, its)))
    return made


def _drifted(
    groups: Sequence[Sequence[_Compared]], rate: float
) -> tuple[tuple[DriftedCodes, ...], ...]:
    from scipy.stats import false_discovery_control

    p_values = [one.found.p_value for group in groups for one in group]
    adjusted = iter(false_discovery_control(p_values).tolist() if p_values else ())
    made = []
    for group in groups:
        judged = [(one, next(adjusted)) for one in group]
        drifted = [_told(one, p_value) for one, p_value in judged if p_value < rate]
        made.append(tuple(sorted(drifted, key=lambda one: -one.divergence)))
    return tuple(made)


def _told(one: _Compared, p_value: float) -> DriftedCodes:
    share, unseen = one.found.unseen_share, one.served.examples
    return DriftedCodes(
        feature=one.name,
        divergence=one.found.jensen_shannon,
        unseen_share=share,
        unseen=unseen,
        p_value=p_value,
        sentence=_words(one.name, one.kind, share, unseen, p_value),
    )


def _words(name: str, kind: str, unseen_share: float, unseen: Sequence[str], p_value: float) -> str:
    new = ""
    if unseen:
        new = f", and {unseen_share:.1%} of the rows have one never seen in training ({unseen[0]})"
    return f"The {kind} of {name} come in other proportions{new} ({chance(p_value)})."


def _are_codes(column: NDArray[np.floating[Any]]) -> bool:
    if not _are_whole(column[:1000]):  # most features are told by a few rows
        return False
    return _are_whole(column) and 1 < len(np.unique(column)) <= _MOST_CODES


def _are_whole(values: NDArray[np.floating[Any]]) -> bool:
    return bool(np.isfinite(values).all() and (values == np.round(values)).all())


def _counted(
    column: NDArray[np.floating[Any]], known: tuple[str, ...] | None = None
) -> CategoryCounts:
    """Return the counts of whole numbers, those that are not finite among the missing ones."""
    finite = column[np.isfinite(column)]
    values, counts = np.unique(finite, return_counts=True)
    held = {f"{value:g}": int(count) for value, count in zip(values, counts, strict=True)}
    kept = tuple(held) if known is None else known
    mine = np.array([held.pop(name, 0) for name in kept], np.int64)
    missing = len(column) - len(finite)
    return CategoryCounts(kept, mine, sum(held.values()), missing, tuple(held)[:5])
