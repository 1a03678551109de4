"""How the groups of a column are treated, as a sentence, a picture and a table."""

from __future__ import annotations

from collections.abc import Sequence

from agiwb.evaluation.disparity import Disparity, Rate
from agiwb.evaluation.fairness import (
    FOUR_FIFTHS,
    RATES,
    Fairness,
    worst_odds,
    worst_parity,
)
from agiwb.reporting.picture import BLUE, GREY, Picture
from agiwb.reporting.tables import Table

_DRAWN = ("selection", "true_positive", "false_positive")


def fairness_sentences(found: Sequence[Fairness]) -> tuple[str, ...]:
    """Return where groups are treated most differently; none if no two are large enough."""
    told = []
    if (parity := worst_parity(found)) is not None:
        where, its = parity
        rule = "below" if its.ratio is not None and its.ratio < FOUR_FIFTHS else "not below"
        told.append(
            f"By {where.column}, {where.class_name} is named in {_of(where, its)}: "
            f"{_ratio(its)} times as often, {rule} the four fifths at which adverse impact is "
            "suspected."
        )
    if (odds := worst_odds(found)) is not None:
        where, its = odds
        told.append(
            f"By {where.column}, the {RATES[its.rate]} of {where.class_name} is {_of(where, its)}: "
            f"a difference in odds of {its.difference:.3f} "
            f"({its.difference_interval.low:+.3f} to {its.difference_interval.high:+.3f})."
        )
    return tuple(told)


def disparity_table(found: Sequence[Fairness]) -> Table:
    """Return a row for each column and class: both disparities with their 95 % intervals."""
    rows = [
        {
            "column": one.column,
            "class": one.class_name,
            "parity difference": _difference(one.parity),
            "parity ratio": _ratio_between(one.parity),
            "odds difference": _difference(one.odds),
            "odds ratio": _ratio_between(one.odds),
        }
        for one in found
    ]
    return Table.of(rows)


def group_table(one: Fairness) -> Table:
    """Return a row for each group: its rates with their 95 % intervals; small ones are marked."""
    rows = [
        {
            one.column: group.group,
            "examples": f"{group.examples:,}",
            **{name: _share(getattr(group, field)) for field, name in RATES.items()},
            "": "too few to compare" if group.small else "",
        }
        for group in one.groups
    ]
    return Table.of(rows)


def plot_groups(one: Fairness) -> Picture:
    """Return the rates of each group with their 95 % intervals; small groups are grey."""
    groups = one.groups[::-1]
    told = "; ".join(
        f"{group.group} " + ", ".join(f"{RATES[name]} {_share(getattr(group, name))}"
                                     for name in _DRAWN)
        for group in one.groups
    )  # fmt: skip
    picture = Picture(
        9, 0.3 * len(groups) + 1.2, f"How {one.class_name} is named by {one.column}: {told}"
    )
    for axes, name in zip(picture.axes_row(len(_DRAWN)), _DRAWN, strict=True):
        for row, group in enumerate(groups):
            rate: Rate | None = getattr(group, name)
            if rate is None:
                continue
            colour = GREY if group.small else BLUE
            axes.plot([100 * end for end in rate.interval], [row, row], color=colour)
            axes.plot(100 * rate.value, row, "x" if group.small else "o", color=colour)
        names = [f"{group.group} (n={group.examples})" for group in groups]
        axes.set_yticks(range(len(groups)), names if name == _DRAWN[0] else [""] * len(groups))
        axes.set(xlabel=f"{RATES[name]} (%)", xlim=(-2, 102), ylim=(-0.6, len(groups) - 0.4))
    return picture


def _of(where: Fairness, its: Disparity) -> str:
    rates = {group.group: getattr(group, its.rate) for group in where.groups}
    low, high = rates[its.low_group], rates[its.high_group]
    return f"{low.value:.1%} for {its.low_group} and {high.value:.1%} for {its.high_group}"


def _ratio(its: Disparity) -> str:
    if its.ratio is None or its.ratio_interval is None:
        return "an unknown number of"
    return f"{its.ratio:.2f} ({its.ratio_interval.low:.2f} to {its.ratio_interval.high:.2f})"


def _difference(its: Disparity | None) -> str:
    if its is None:
        return "too few to compare"
    low, high = its.difference_interval
    return f"{its.difference:.3f} ({low:+.3f} to {high:+.3f})"


def _ratio_between(its: Disparity | None) -> str:
    return "" if its is None or its.ratio is None else _ratio(its)


def _share(rate: Rate | None) -> str:
    if rate is None:
        return "none"
    return f"{rate.value:.1%} ({rate.interval.low:.1%} to {rate.interval.high:.1%})"
