"""The candidate: measured or with a reason, and stored as plain JSON."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from agiwb.compression.candidate import Candidate
from tests.compression.made_up import MEASURED


def test_what_is_usable_has_measurements():
    assert Candidate(name="int8", measured=MEASURED).usable
    with pytest.raises(ValidationError, match="int8 has neither measurements nor a reason"):
        Candidate(name="int8")


@pytest.mark.parametrize(("p_value", "differs"), [(0.04, True), (0.05, True), (0.06, False)])
def test_a_difference_is_one_that_chance_hardly_explains(p_value: float, *, differs: bool):
    measured = MEASURED.model_copy(update={"p_value": p_value, "validation_p_value": 1.0})
    assert (measured.accuracy_differs, measured.validation_differs) == (differs, False)
    measured = MEASURED.model_copy(update={"p_value": 1.0, "validation_p_value": p_value})
    assert (measured.accuracy_differs, measured.validation_differs) == (False, differs)


def test_a_candidate_is_stored_as_plain_json():
    candidate = Candidate(name="int8", measured=MEASURED)
    assert Candidate.model_validate_json(candidate.model_dump_json()) == candidate
    assert candidate.model_dump(mode="json")["measured"]["accuracy_interval"] == [0.95, 0.99]
