"""The named picks, on candidates made up for the purpose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.candidate import Candidate
from agiwb.compression.picks import pick
from tests.compression.rows import BASELINE_ROW, row


def rightness(*candidates: Candidate) -> dict[str, NDArray[np.bool_]]:
    """Return answers to 1000 examples with the accuracy of each, the first ones right."""
    return {
        c.name: np.arange(1000) < round(1000 * c.measured.validation_accuracy)
        for c in candidates
        if c.measured
    }


def picks(*candidates: Candidate, drop: float = 0.01) -> dict[str, str]:
    return pick(candidates, rightness(*candidates), drop)


def test_each_pick_has_its_own_merit():
    candidates = (
        BASELINE_ROW,
        row("rich", 0.99, 1500, 1.5, validation_p_value=0.001),
        row("middle", 0.965, 300, 0.6),
        row("tiny", 0.945, 250, 1.4, validation_p_value=0.001),
        row("ruined", 0.6, 50, 0.2, validation_p_value=0.0001),
    )
    assert picks(*candidates) == {"quality": "rich", "balanced": "middle", "compact": "tiny"}


def test_quality_takes_the_smallest_that_is_not_told_from_the_best():
    small = row("small", 0.966, 300)
    assert picks(BASELINE_ROW, small)["quality"] == "small"
    assert picks(BASELINE_ROW, small, drop=0.001)["quality"] == "baseline"


def test_compact_may_lose_three_times_the_allowed_drop_and_no_more():
    just, too_much = row("just", 0.94, 300), row("too_much", 0.939, 200)
    assert picks(BASELINE_ROW, just, too_much)["compact"] == "just"


def test_a_pick_for_which_nobody_qualifies_is_missing():
    unusable = row("baseline", 0.97, 1000, reason="It does not beat chance.")
    poor = row("poor", 0.5, 100, validation_p_value=0.0001)
    assert picks(unusable, poor) == {"quality": "poor"}
    assert pick([Candidate(name="baseline", reason="no")], {}, 0.01) == {}


def test_the_knee_is_nearest_to_the_ideal_of_what_is_tolerable():
    # Of accuracy, log bytes and log time: (1, 0, 0), (0, 1, 1) and halves of all.
    candidates = (
        BASELINE_ROW,
        row("cheap", 0.95, 100, 0.25, validation_p_value=0.001),
        row("half", 0.96, 316, 0.5, validation_p_value=0.001),
    )
    assert picks(*candidates)["balanced"] == "half"
