"""Fairness: how often each group is named a class, how often rightly, and how far groups are apart.

Demographic parity asks that all groups are named a class equally often (Dwork and others 2012);
equalized odds, that those of the class are, and that those who are not of it are (Hardt, Price and
Srebro 2016). Difference and ratio between the groups farthest apart are as Agarwal and others
(2018) and Fairlearn define them. Rates are the ones that TFMA calls ``predicted_positive_rate``,
``tpr``, ``fpr`` and ``precision``.

Which of the two would be fair nobody can compute: where a class is not equally frequent in all
groups, both hold only for a model whose answers say nothing about it (Barocas, Hardt and Narayanan
2023, chapter 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.evaluation.disparity import Disparity, Rate, disparity, rate_of

FOUR_FIFTHS = 0.8
"""Ratio of selection rates below which a procedure is suspected of adverse impact in the United
States (29 CFR 1607.4 D)."""
MOST_CLASSES = 20
"""Classes up to which each has its rates."""
RATES = {
    "selection": "selection rate",
    "true_positive": "true positive rate",
    "false_positive": "false positive rate",
    "precision": "precision",
}
"""What each rate is called."""


class GroupRates(BaseModel):
    """How a model treats one group; a rate is None where there is nothing that it is a share of.

    Attributes:
        group: The value of the column.
        examples: Of the group.
        small: Whether these are too few to be compared.
        selection: Share named the class.
        true_positive: Share named, of those that are of the class.
        false_positive: Share named, of those that are not.
        precision: Share that is of the class, of those named.
    """

    model_config = ConfigDict(frozen=True)

    group: str
    examples: int
    small: bool
    selection: Rate | None
    true_positive: Rate | None
    false_positive: Rate | None
    precision: Rate | None


class Fairness(BaseModel):
    """How a model treats the groups of one column, as to one class.

    Attributes:
        column: What tells the groups apart.
        class_name: The class; of two, the second.
        groups: In order of their names.
        parity: Disparity of the selection rate (demographic parity); None with fewer than two
            groups that are large enough.
        odds: That of the true or the false positive rate, whichever is larger (equalized odds),
            and by that one's groups: its ``ratio`` is the smaller of the two rates' ratios.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    class_name: str
    groups: tuple[GroupRates, ...]
    parity: Disparity | None
    odds: Disparity | None


@dataclass(frozen=True)
class Counts:
    """Examples of a group by whether they are of a class, and whether they are named it."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def examples(self) -> int:
        """All of them."""
        return (
            self.true_positives + self.false_positives + self.true_negatives + self.false_negatives
        )


def measure_fairness(
    labels: NDArray[np.int64],
    named: NDArray[np.int64],
    columns: Mapping[str, NDArray[np.str_]],
    classes: Sequence[str],
    smallest: int,
) -> tuple[Fairness, ...]:
    """Return how a model treats the groups of each column, as to each class.

    Of two classes only the second is told of: what holds of one then holds of the other. Beyond 20
    classes nothing is.

    Args:
        labels: Index of the true class, shape ``(examples,)``.
        named: Index of the class that the model names, same shape.
        columns: Group of each example by column.
        classes: Names of the classes.
        smallest: Groups with fewer examples are shown and not compared.
    """
    if not 1 < len(classes) <= MOST_CLASSES:
        return ()
    asked = [1] if len(classes) == 2 else range(len(classes))
    found = []
    for column, values in columns.items():
        groups = np.unique(values)
        for index in asked:
            counts = {
                str(group): count(labels[values == group] == index, named[values == group] == index)
                for group in groups
            }
            found.append(fairness_of(column, classes[index], counts, smallest))
    return tuple(found)


def count(is_class: NDArray[np.bool_], is_named: NDArray[np.bool_]) -> Counts:
    """Return the counts of one group."""
    return Counts(
        true_positives=int((is_class & is_named).sum()),
        false_positives=int((~is_class & is_named).sum()),
        true_negatives=int((~is_class & ~is_named).sum()),
        false_negatives=int((is_class & ~is_named).sum()),
    )


def fairness_of(
    column: str, class_name: str, counts: Mapping[str, Counts], smallest: int
) -> Fairness:
    """Return rates and disparities of the groups of one column; see ``measure_fairness``."""
    groups = tuple(_rates(group, its, smallest) for group, its in sorted(counts.items()))
    large = [one for one in groups if not one.small]
    return Fairness(
        column=column,
        class_name=class_name,
        groups=groups,
        parity=disparity("selection", _of_each("selection", large)),
        odds=_odds(large),
    )


def worst_parity(found: Sequence[Fairness]) -> tuple[Fairness, Disparity] | None:
    """Return where the ratio of selection rates is smallest; None if nothing was compared."""
    compared = [
        (one.parity.ratio, place, one, one.parity)
        for place, one in enumerate(found)
        if one.parity is not None and one.parity.ratio is not None
    ]
    return min(compared, key=lambda entry: entry[:2])[2:] if compared else None


def worst_odds(found: Sequence[Fairness]) -> tuple[Fairness, Disparity] | None:
    """Return where the equalized odds differ most; None if nothing was compared."""
    compared = [
        (-one.odds.difference, place, one, one.odds)
        for place, one in enumerate(found)
        if one.odds is not None
    ]
    return min(compared, key=lambda entry: entry[:2])[2:] if compared else None


def _rates(group: str, counts: Counts, smallest: int) -> GroupRates:
    tp, fp = counts.true_positives, counts.false_positives
    positives, negatives = tp + counts.false_negatives, fp + counts.true_negatives
    return GroupRates(
        group=group,
        examples=counts.examples,
        small=counts.examples < smallest,
        selection=rate_of(tp + fp, counts.examples),
        true_positive=rate_of(tp, positives),
        false_positive=rate_of(fp, negatives),
        precision=rate_of(tp, tp + fp),
    )


def _odds(groups: Sequence[GroupRates]) -> Disparity | None:
    found = [
        one
        for rate in ("true_positive", "false_positive")
        if (one := disparity(rate, _of_each(rate, groups), rates=2)) is not None
    ]
    if not found:
        return None
    widest = max(found, key=lambda one: one.difference)
    ratios = [one for one in found if one.ratio is not None]
    if not ratios:
        return widest
    least = min(ratios, key=lambda one: one.ratio if one.ratio is not None else math.inf)
    return widest.model_copy(update={"ratio": least.ratio, "ratio_interval": least.ratio_interval})


def _of_each(name: str, groups: Sequence[GroupRates]) -> list[tuple[str, Rate | None]]:
    return [(one.group, getattr(one, name)) for one in groups]


def judge_fairness(
    found: Sequence[Fairness], min_parity_ratio: float | None, max_odds_difference: float | None
) -> tuple[bool | None, tuple[str, ...]]:
    """Return whether every limit is kept, and in a sentence each disparity that is beyond its own.

    None is no limit, and without one there is no verdict. A limit is not kept where no two groups
    could be compared.
    """
    told = list(_shortfalls(found, min_parity_ratio, max_odds_difference))
    compared = {"min_parity_ratio": worst_parity(found), "max_odds_difference": worst_odds(found)}
    limits = {"min_parity_ratio": min_parity_ratio, "max_odds_difference": max_odds_difference}
    asked = [name for name, limit in limits.items() if limit is not None]
    told += [
        f"`{name}` was not judged: no slice column has two groups that are large enough."
        for name in asked
        if compared[name] is None
    ]
    return (not told if asked else None), tuple(told)


def _shortfalls(
    found: Sequence[Fairness], min_parity_ratio: float | None, max_odds_difference: float | None
) -> Iterator[str]:
    for one in found:
        parity, odds = one.parity, one.odds
        where = f"By {one.column}, {one.class_name} is named"
        if (
            min_parity_ratio is not None
            and parity is not None
            and parity.ratio is not None
            and parity.ratio < min_parity_ratio
        ):
            yield (
                f"{where} {parity.ratio:.3f} times as often for {parity.low_group} as for "
                f"{parity.high_group}, below the limit of {min_parity_ratio:g}."
            )
        if (
            max_odds_difference is not None
            and odds is not None
            and odds.difference > max_odds_difference
        ):
            yield (
                f"{where} by odds that differ by {odds.difference:.3f} ({RATES[odds.rate]}, "
                f"{odds.high_group} against {odds.low_group}), above the limit of "
                f"{max_odds_difference:g}."
            )
