"""A shadow's comparison in words."""

from __future__ import annotations

from agiwb.reporting.serving import describe_shadow

COMPARED = {
    "version": 2,
    "requests_compared": 1200,
    "requests_failed": 0,
    "last_failure": None,
    "rows_compared": 2400,
    "rows_disagreeing": 12,
    "disagreement": 0.005,
    "disagreement_interval": [0.0029, 0.0087],
    "latency_ratio": 0.8,
    "latency_ratio_interval": [0.75, 0.86],
}


def test_what_was_compared_is_said_with_its_uncertainty():
    assert describe_shadow({"champion": 1, "comparison": COMPARED}) == (
        "Version 2 answered 1,200 of the requests too: for 12 of 2,400 rows it disagrees with "
        "version 1 (0.5%; 95 % interval 0.3% to 0.9%). It takes 0.80 of the champion's time "
        "(0.75 to 0.86)."
    )


def test_failures_are_said_with_the_last_reason():
    failed = {**COMPARED, "requests_failed": 3, "last_failure": "It is gone."}
    text = describe_shadow({"champion": 1, "comparison": failed})
    assert text.endswith("It failed on 3 requests: It is gone.")


def test_nothing_is_said_of_what_was_not_compared():
    assert describe_shadow({"champion": 1, "comparison": None}) == "No version is a shadow."
    waiting = {"champion": 1, "comparison": {"version": 2, "requests_compared": 0}}
    assert "nothing was compared yet" in describe_shadow(waiting)
