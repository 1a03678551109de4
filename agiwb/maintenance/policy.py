"""Triggers propose, the policy decides: pure, so that every decision can be read and tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agiwb.statistics import Interval

Trigger = Literal["accuracy fell", "accuracy is expected to have fallen", "new labels", "calendar"]
Action = Literal["nothing", "mend the data", "wait", "retrain"]

_HOUR_S = 3600.0


@dataclass(frozen=True)
class Seen:
    """What is known of the champion at a moment.

    Attributes:
        rows: Served rows that were looked at.
        reference_accuracy: The champion's on the validation split.
        accuracy: Share of labelled rows that it answered right; None without labels enough.
        p_value: That this is as good as on the validation split; None without labels enough.
        expected: 95 % interval of the accuracy expected without labels, or None.
        drifted: Features that drifted.
        faults: What is broken in the data that come in, in sentences.
        new_labels: Labelled rows served since the champion's training began.
        champion_age_s: Seconds since the champion was trained.
        since_decision_s: Seconds since the last promotion, roll-back or rejection; None before any.
    """

    rows: int
    reference_accuracy: float
    accuracy: float | None
    p_value: float | None
    expected: Interval | None
    drifted: int
    faults: tuple[str, ...]
    new_labels: int
    champion_age_s: float
    since_decision_s: float | None


@dataclass(frozen=True)
class PolicyTerms:
    """What the policy goes by.

    Attributes:
        cooldown_h: Hours after a decision in which no new challenger is made.
        min_labels: Labelled rows that a retraining needs.
        max_drop: Accuracy that may be lost before a trigger proposes anything.
        alpha: Level of the test for a loss.
        retrain_after_labels: So many new labels are a reason of their own; None: never.
        retrain_after_h: So old a champion is one; None: never.
    """

    cooldown_h: float
    min_labels: int
    max_drop: float
    alpha: float
    retrain_after_labels: int | None
    retrain_after_h: float | None


class Proposal(BaseModel):
    """What a trigger proposes a retraining for."""

    model_config = ConfigDict(frozen=True)

    trigger: Trigger
    sentence: str


class Choice(BaseModel):
    """What the policy decides, and why."""

    model_config = ConfigDict(frozen=True)

    action: Action
    sentence: str


def propose(seen: Seen, terms: PolicyTerms) -> tuple[Proposal, ...]:
    """Return what speaks for a new challenger."""
    found = []
    usual = f"{seen.reference_accuracy:.1%} on the validation split"
    lowest = seen.reference_accuracy - terms.max_drop
    if seen.accuracy is not None and seen.p_value is not None:
        if seen.accuracy < lowest and seen.p_value <= terms.alpha:
            sentence = (
                f"The labels show {seen.accuracy:.1%} right answers, against {usual} "
                f"(p = {seen.p_value:.2g})."
            )
            found.append(Proposal(trigger="accuracy fell", sentence=sentence))
    elif seen.expected is not None and seen.expected.high < lowest and seen.drifted:
        sentence = (
            f"{seen.drifted} features drifted, and at most {seen.expected.high:.1%} right answers "
            f"are expected, against {usual}."
        )
        found.append(Proposal(trigger="accuracy is expected to have fallen", sentence=sentence))
    if terms.retrain_after_labels is not None and seen.new_labels >= terms.retrain_after_labels:
        sentence = f"{seen.new_labels} labels came since the champion was trained."
        found.append(Proposal(trigger="new labels", sentence=sentence))
    age_h = seen.champion_age_s / _HOUR_S
    if terms.retrain_after_h is not None and age_h >= terms.retrain_after_h:
        sentence = f"The champion was trained {age_h:.0f} hours ago."
        found.append(Proposal(trigger="calendar", sentence=sentence))
    return tuple(found)


def choose(proposals: Sequence[Proposal], seen: Seen, terms: PolicyTerms) -> Choice:
    """Return what is done: first the data must be sound, then time and labels must have come."""
    if seen.faults:
        return Choice(
            action="mend the data",
            sentence=f"The data that come in are broken, and no model will mend that: "
            f"{' '.join(seen.faults)}",
        )
    if not proposals:
        return Choice(action="nothing", sentence="Nothing speaks for a new challenger.")
    why = " ".join(proposal.sentence for proposal in proposals)
    if seen.since_decision_s is not None and seen.since_decision_s < terms.cooldown_h * _HOUR_S:
        left = terms.cooldown_h - seen.since_decision_s / _HOUR_S
        return Choice(
            action="wait", sentence=f"{why} The last decision is young: {left:.1f} hours to wait."
        )
    if seen.new_labels < terms.min_labels:
        return Choice(
            action="wait",
            sentence=f"{why} {seen.new_labels} new labels are there, {terms.min_labels} are needed "
            "to retrain: `agiwb labels add`.",
        )
    return Choice(action="retrain", sentence=why)
