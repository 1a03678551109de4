"""The gate's verdict from what was compared: promote, reject, or not enough evidence; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.maintenance.checks import Check
from agiwb.maintenance.noninferiority import (
    FEWEST_ROWS,
    PairedComparison,
    compare_pairs,
    holm,
    rows_needed,
)
from agiwb.statistics import Interval

Verdict = Literal["promote", "reject", "not enough evidence"]
Finding = Literal["not worse", "worse", "open", "too small"]

OVERALL = "all rows"


class Compared(BaseModel):
    """Challenger and champion on the rows of one slice, or on all of them.

    Attributes:
        name: ``column=value``.
        rows: How many.
        champion: Mean score of the champion.
        challenger: Mean score of the challenger.
        difference: Challenger's less champion's.
        interval: Its 95 % interval; None with too few rows.
        margin: How much worse the challenger may be.
        p_not_worse: Of the slices adjusted by Holm's procedure.
        p_worse: Likewise.
        finding: What may be said; a slice that is too small is shown and not judged.
        rows_needed: Of how many such rows it could be said that two equal models are.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    rows: int
    champion: float
    challenger: float
    difference: float
    interval: Interval | None
    margin: float
    p_not_worse: float
    p_worse: float
    finding: Finding
    rows_needed: int


@dataclass(frozen=True)
class Terms:
    """What the gate asks for.

    Attributes:
        margin: How much worse the challenger may be on all rows, in the unit of the scores.
        slice_margin: The same of a slice.
        alpha: One-sided level: a challenger that is worse by the margin passes at most so often.
        power: Chance that an equal one passes after the labels that are asked for.
        min_slice_size: Smaller slices are not judged.
    """

    margin: float
    slice_margin: float
    alpha: float
    power: float
    min_slice_size: int


def compare(
    champion: NDArray[np.float64],
    challenger: NDArray[np.float64],
    slices: Mapping[str, NDArray[np.bool_]],
    terms: Terms,
) -> tuple[Compared, ...]:
    """Return all rows and every slice compared, all rows first.

    That all must hold for a promotion needs no correction (intersection-union test: Berger 1982).
    Holm's makes the claims on the single slices hold together, in both directions: one equal
    challenger in ``1 / alpha`` at most is rejected because of any of its slices.

    Args:
        champion: Scores of the rows, float64 ``(rows,)``; higher is better.
        challenger: Those of the challenger to the same rows.
        slices: Which rows are in a slice, by its name.
        terms: Margins and levels.
    """
    differences = challenger - champion
    judged = {name: rows for name, rows in slices.items() if rows.sum() >= terms.min_slice_size}
    found = {
        name: compare_pairs(differences[rows], terms.slice_margin) for name, rows in judged.items()
    }
    not_worse = dict(zip(found, holm([one.p_not_worse for one in found.values()]), strict=True))
    worse = dict(zip(found, holm([one.p_worse for one in found.values()]), strict=True))
    whole = compare_pairs(differences, terms.margin)
    everything = np.ones(len(differences), bool)
    scores = champion, challenger
    rows = [
        _compared(
            OVERALL, scores, everything, whole, terms.margin, terms,
            (whole.p_not_worse, whole.p_worse), 1,
        )
    ]  # fmt: skip
    for name, inside in slices.items():
        one = found.get(name)
        if one is None:
            rows.append(_too_small(name, scores, inside, terms))
        else:
            p_values = not_worse[name], worse[name]
            rows.append(
                _compared(
                    name, scores, inside, one, terms.slice_margin, terms, p_values, len(found)
                )
            )
    return tuple(rows)


def decide(
    compared: Sequence[Compared],
    checks: Sequence[Check],
    power: float,
    growing: Collection[str] = (OVERALL,),
) -> tuple[Verdict, tuple[str, ...], int | None]:
    """Return the verdict, its reasons in sentences, and about how many more labels would settle it.

    Args:
        compared: All rows first; see ``compare``.
        checks: All others.
        power: Told in the sentence about labels.
        growing: The slices that labels of served requests add rows to.
    """
    worse = [one for one in compared if one.finding == "worse"]
    failed = [one for one in checks if one.outcome == "failed"]
    if worse or failed:
        return "reject", (*map(_said_worse, worse), *map(_said_check, failed)), None
    undecided = [one for one in compared if one.finding == "open"]
    doubtful = [one for one in checks if one.outcome == "not enough evidence"]
    if undecided or doubtful:
        told = (*map(_said_open, undecided), *map(_said_check, doubtful))
        fixed = [one.name for one in undecided if one.name not in growing]
        if fixed:
            told += (
                (
                    f"No served request adds rows to {', '.join(fixed)}: `slices` says which are "
                    "judged, `slice_margin` how strictly, and a larger split has more rows of them."
                ),
            )
        labels = _labels_needed(compared[0], undecided, growing)
        labels = max([labels, *(one.labels_needed or 0 for one in doubtful)])
        if not labels or not growing:
            return "not enough evidence", told, None
        more = (
            f"Shadow it for about {labels} more labels: if both models are equally good, that "
            f"settles each such question in {power:.0%} of all cases."
        )
        return "not enough evidence", (*told, more), labels
    whole = compared[0]
    passed = (
        f"On {whole.rows} rows the challenger scores {whole.challenger:.4g} and the champion "
        f"{whole.champion:.4g}: not worse by {whole.margin:.3g} (p = {whole.p_not_worse:.2g}), "
        "and in no slice that can be judged."
    )
    return "promote", (passed,), None


def _labels_needed(whole: Compared, undecided: Sequence[Compared], growing: Collection[str]) -> int:
    """Return labels that bring every open question that grows its rows; 0 without such.

    A question that is open although it had its rows was unlucky, or the model is a bit worse: it
    gets half of them again.
    """
    asked = [one for one in undecided if one.name in growing]
    missing = [max(one.rows_needed - one.rows, one.rows_needed // 2) for one in asked]
    # Every label is a fresh row and one of all rows: no question has to wait for its share.
    return max([FEWEST_ROWS, *missing]) if whole.rows and missing else 0


def _compared(
    name: str,
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
    inside: NDArray[np.bool_],
    found: PairedComparison,
    margin: float,
    terms: Terms,
    p_values: tuple[float, float],
    family: int,
) -> Compared:
    p_not_worse, p_worse = p_values
    finding: Finding = "open"
    if p_worse <= terms.alpha:
        finding = "worse"
    elif p_not_worse <= terms.alpha:
        finding = "not worse"
    return Compared(
        name=name,
        rows=found.rows,
        champion=float(scores[0][inside].mean()) if found.rows else 0.0,
        challenger=float(scores[1][inside].mean()) if found.rows else 0.0,
        difference=found.difference,
        interval=found.interval if found.rows >= FEWEST_ROWS else None,
        margin=margin,
        p_not_worse=p_not_worse,
        p_worse=p_worse,
        finding=finding,
        rows_needed=rows_needed(found, margin, terms.alpha / family, terms.power),
    )


def _too_small(
    name: str,
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
    inside: NDArray[np.bool_],
    terms: Terms,
) -> Compared:
    champion, challenger = (float(one[inside].mean()) if inside.any() else 0.0 for one in scores)
    return Compared(
        name=name,
        rows=int(inside.sum()),
        champion=champion,
        challenger=challenger,
        difference=challenger - champion,
        interval=None,
        margin=terms.slice_margin,
        p_not_worse=1.0,
        p_worse=1.0,
        finding="too small",
        rows_needed=terms.min_slice_size,
    )


def _said_worse(one: Compared) -> str:
    return (
        f"On {one.name} ({one.rows} rows) the challenger scores {one.challenger:.4g} and the "
        f"champion {one.champion:.4g}: worse by more than {one.margin:.3g} (p = {one.p_worse:.2g})."
    )


def _said_open(one: Compared) -> str:
    return (
        f"On {one.name} ({one.rows} rows) the challenger scores {one.challenger:.4g} and the "
        f"champion {one.champion:.4g}: it may still be worse by {one.margin:.3g} "
        f"(p = {one.p_not_worse:.2g})."
    )


def _said_check(check: Check) -> str:
    return f"{check.name.capitalize()}: {check.sentence}"
