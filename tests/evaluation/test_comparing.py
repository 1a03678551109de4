"""What got worse is told from what is noise, and small slices are no news."""

from __future__ import annotations

import math

from agiwb.evaluation.comparing import COUNT, gaps, paired_changes, paired_metrics
from agiwb.evaluation.stored import WHOLE, StoredMetric
from agiwb.statistics import Interval


def metric(name, value, group="", *, model="candidate", interval=None):
    return StoredMetric(
        model=model,
        slice=f"side = {group}" if group else WHOLE,
        columns=("side",) if group else (),
        values=(group,) if group else (),
        name=name,
        class_id=None,
        is_diff=interval is not None,
        value=value,
        interval=Interval(*interval) if interval else None,
    )


def pair(name, group, examples, ours, theirs, low, high):
    return [
        metric(COUNT, examples, group),
        metric(name, ours, group),
        metric(name, theirs, group, model="baseline"),
        metric(name, ours - theirs, group, interval=(low, high)),
    ]


STORED = [
    *pair("accuracy", "left", 100, 0.8, 0.9, -0.15, -0.05),
    *pair("accuracy", "right", 100, 0.91, 0.9, -0.03, 0.05),
    *pair("accuracy", "up", 10, 0.2, 0.9, -0.9, -0.4),
    *pair("accuracy", "", 210, 0.85, 0.9, -0.07, -0.01),
]


def test_slices_got_worse_only_where_the_interval_says_so():
    found = paired_changes(STORED, "accuracy", 30)
    assert found[0].slice == WHOLE
    assert {one.slice: one.direction for one in found} == {
        WHOLE: "worse",
        "side = left": "worse",
        "side = right": "no clear difference",
        "side = up": "too small",
    }
    assert paired_metrics(STORED) == ["accuracy"]


def test_less_of_an_error_is_better():
    errors = pair("mean_absolute_error", "left", 100, 1.0, 2.0, -1.2, -0.8)
    assert [one.direction for one in paired_changes(errors, "mean_absolute_error", 30)] == [
        "better"
    ]


def test_a_gap_is_between_groups_that_are_large_enough():
    (found,) = gaps([*STORED, metric("accuracy", math.nan, "down")], 30)
    assert (found.column, found.low_group, found.high_group) == ("side", "left", "right")
    assert round(found.size, 6) == 0.11
    assert {one.low_group for one in gaps(STORED, 5)} == {"up"}
    assert gaps(STORED, 1000) == []
