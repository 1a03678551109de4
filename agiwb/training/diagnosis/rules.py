"""The rules over the course of a training, asked in turn."""

from __future__ import annotations

from collections.abc import Callable

from agiwb.training.diagnosis.dead_units import dead_units
from agiwb.training.diagnosis.finding import Finding
from agiwb.training.diagnosis.gradients import exploding_gradients, vanishing_gradients
from agiwb.training.diagnosis.learning_rate import (
    learning_rate_too_high,
    learning_rate_too_low,
    stopped_too_early,
)
from agiwb.training.diagnosis.nonfinite_validation import nonfinite_validation
from agiwb.training.diagnosis.observed import Observed
from agiwb.training.diagnosis.over_fitting import over_fitting
from agiwb.training.diagnosis.under_fitting import under_fitting

RULES: tuple[Callable[[Observed], Finding | None], ...] = (
    learning_rate_too_high,
    learning_rate_too_low,
    vanishing_gradients,
    exploding_gradients,
    dead_units,
    nonfinite_validation,
    over_fitting,
    under_fitting,
    stopped_too_early,
)


def judge(seen: Observed) -> tuple[Finding, ...]:
    """Return what the rules find; nothing before the first epoch has ended."""
    if not seen.curves:
        return ()
    return tuple(finding for rule in RULES if (finding := rule(seen)))
