"""The sizes after each stage, from what other candidates measured and else from the weights."""

from __future__ import annotations

import pytest

from agiwb.compression.candidate import Candidate
from agiwb.compression.waterfall import Fall, waterfall
from tests.compression.rows import BASELINE_ROW, row

NAME = "prune_80+cluster_16+int8"


def test_stages_that_other_candidates_are_made_of_have_their_size():
    whole = row(NAME, 0.97, 100).model_copy(
        update={"stage_bytes": {"prune_80": 380, "prune_80+cluster_16": 190}}
    )
    assert waterfall([BASELINE_ROW, row("prune_80", 0.97, 400), whole], NAME) == (
        Fall("baseline", 1000),
        Fall("prune_80", 400),
        Fall("prune_80+cluster_16", 190, weights_only=True),
        Fall(NAME, 100),
    )


def test_a_stage_of_which_nothing_is_known_counts_to_the_next():
    falls = waterfall([BASELINE_ROW, row(NAME, 0.97, 100)], NAME)
    assert [fall.recipe for fall in falls] == ["baseline", NAME]


def test_the_baseline_has_no_stage():
    assert waterfall([BASELINE_ROW], "baseline") == (Fall("baseline", 1000),)


def test_a_candidate_that_could_not_be_made_still_has_the_stages_before():
    failed = Candidate(name="prune_80+int8", reason="no", stage_bytes={"prune_80": 380})
    falls = waterfall([BASELINE_ROW, failed], "prune_80+int8")
    assert [fall.recipe for fall in falls] == ["baseline", "prune_80"]


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError):
        waterfall([BASELINE_ROW], "int8")
