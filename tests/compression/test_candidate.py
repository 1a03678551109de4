"""The verdicts: one honest sentence for each candidate."""

from __future__ import annotations

from typing import Any

import pytest
from compression.made_up import MEASURED
from pydantic import ValidationError

from agiwb.compression.candidate import Candidate, Measurements, describe


def verdict(**changes: Any) -> str:
    candidate = Candidate(name="other", measured=MEASURED.model_copy(update=changes))
    return describe(candidate, MEASURED, examples=360)


def test_a_good_candidate():
    assert verdict(
        size_bytes=16_000, gzip_bytes=13_500, worse=4, better=5, latency_ratio=0.62, speed="faster"
    ) == (
        "3.7 times smaller after gzip, no detectable loss of accuracy (4 worse, 5 better), "
        "0.62 of the baseline's time."
    )


def test_pruning_alone_promises_neither_a_smaller_file_nor_speed():
    assert verdict(gzip_bytes=20_000, latency_ratio=0.99) == (
        "The file is not smaller until compressed, then 2.5 times, no detectable loss of accuracy "
        "(0 worse, 0 better), no measurable difference in speed."
    )


def test_losses_are_named():
    sentence = verdict(
        size_bytes=60_000,
        gzip_bytes=50_500,
        test_accuracy=0.931,
        worse=20,
        better=4,
        p_value=0.002,
        latency_ratio=1.38,
        speed="slower",
    )
    assert sentence == (
        "Not smaller, 4.4 points less accurate (20 worse, 4 better), "
        "1.38 times the baseline's time."
    )


def test_growth_is_named():
    assert verdict(size_bytes=90_000, gzip_bytes=75_000).startswith("1.5 times larger after gzip")


def test_a_gain_is_named():
    assert "1.5 points more accurate (1 worse, 9 better)" in verdict(
        test_accuracy=0.99, worse=1, better=9, p_value=0.02
    )


def test_the_baseline_describes_itself():
    assert describe(Candidate(name="baseline", measured=MEASURED), MEASURED, 360) == (
        "The model as it is: 97.5% of 360 test examples right, 60,000 bytes, 50,000 after gzip."
    )


@pytest.mark.parametrize("measured", [None, MEASURED])
def test_what_is_not_usable_says_why(measured: Measurements | None):
    candidate = Candidate(name="int8", reason="It is made of cheese.", measured=measured)
    assert not candidate.usable
    assert describe(candidate, MEASURED, 360) == "Not usable: It is made of cheese."


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
