"""From measured candidates to a judgement: what only shows when all are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agiwb.compression.candidate import Candidate
from agiwb.compression.constraints import Choice, Limits, choose
from agiwb.compression.frontier import Rightness, front, ties
from agiwb.compression.grounds import Circumstances
from agiwb.compression.hypervolume import hypervolume, reference_of
from agiwb.compression.picks import pick
from agiwb.compression.recipe import BASELINE
from agiwb.compression.verdict import describe


@dataclass(frozen=True)
class Judgement:
    """What a sweep comes to.

    Attributes:
        candidates: With the front, ties, picks and verdicts filled in.
        choice: The one to take under the limits.
        picks: Candidate by name of the pick: ``quality``, ``balanced``, ``compact``.
        hypervolume: How much of the trade-off the front covers.
        reference: The point it is measured from; empty if the baseline was not measured.
    """

    candidates: tuple[Candidate, ...]
    choice: Choice
    picks: dict[str, str]
    hypervolume: float
    reference: dict[str, float]


def judge(
    candidates: Sequence[Candidate], right: Rightness, circumstances: Circumstances, limits: Limits
) -> Judgement:
    """Return the judgement of ``candidates``, the baseline among them with its measurements.

    Args:
        candidates: With their measurements and findings.
        right: Of every usable candidate, on the validation split.
        circumstances: What all were measured under.
        limits: What the choice may cost.
    """
    best = front(candidates)
    tied = ties(candidates, right, circumstances.floor)
    picks = pick(candidates, right, limits.accuracy_drop)
    baseline = next(c.measured for c in candidates if c.name == BASELINE and c.measured)
    placed = [
        candidate.model_copy(
            update={
                "on_front": candidate.name in best,
                "ties": tied.get(candidate.name, ()),
                "picks": tuple(word for word, name in picks.items() if name == candidate.name),
            }
        )
        for candidate in candidates
    ]
    judged = tuple(
        candidate.model_copy(update={"verdict": describe(candidate, baseline, circumstances)})
        for candidate in placed
    )
    return Judgement(
        candidates=judged,
        choice=choose(candidates, limits),
        picks=picks,
        hypervolume=hypervolume(candidates),
        reference=reference_of(candidates),
    )
