"""Slices that drift are found, named and weighed; those that do not rarely are."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.datasets.dataset import Dataset, Split
from agiwb.errors import ConfigError
from agiwb.monitoring.calibration import calibrate
from agiwb.monitoring.consequence import Consequence
from agiwb.monitoring.described import describe
from agiwb.monitoring.slice_columns import SliceColumn, chosen_columns, slice_columns
from agiwb.monitoring.slices import compare_slices, describe_slices, small_slices

NAMES = ("a", "b", "c", "d")
RATE = 0.05 / 12
DEVICES = (["desktop", "phone", "tablet", "watch"], [0.5, 0.3, 0.19, 0.01])


def draw(rng, rows):
    values = rng.normal(size=(rows, 4)).astype(np.float32)
    device = rng.choice(DEVICES[0], rows, p=DEVICES[1]).astype(object)
    values[:, 3] += device == "phone"  # phones differ, and always did
    return values, device


def compare(reference, window, rate=RATE, weigh=lambda *_: ()):
    (known, their), (served, its) = reference, window
    columns = [SliceColumn("device", its, their, known)]
    chances = np.where(its == "phone", 0.5, 1.0)
    return compare_slices(
        columns, served, calibrate(known, len(served)), NAMES, rate, chances, weigh
    )


@pytest.fixture(scope="module")
def reference():
    return draw(np.random.default_rng(0), 3_000)


@pytest.mark.slow
def test_quiet_slices_rarely_alarm(reference):
    rng = np.random.default_rng(1)
    alarms = [compare(reference, draw(rng, 800), rate=0.05)[0].drifted_count for _ in range(15)]
    assert sum(map(bool, alarms)) <= 3


def test_a_drift_in_one_slice_is_named_with_its_cause(reference):
    values, device = draw(np.random.default_rng(2), 800)
    inside = device == "tablet"
    values[inside, 1] += 1
    asked = []

    def weigh(training, rows, places):
        asked.append((len(training), int(rows.sum()), list(places)))
        return (Consequence(feature="b", change=-0.03, changed_answers=0.1),)

    found = compare(reference, (values, device), weigh=weigh)
    assert [one.value for one in found if one.drifted_count] == ["tablet"]
    first = found[0]
    assert (first.rows, first.reference_rows) == (inside.sum(), (reference[1] == "tablet").sum())
    assert (first.feature, first.drifted_count) == ("b", 1)
    assert asked == [(first.reference_rows, first.rows, [1])]
    told = describe_slices(found)
    assert told.startswith(f"1 of 3 slices drifted, most of all device = tablet ({first.rows} rows")
    assert "expected accuracy -0.030 there because of b" in told
    assert {one.value: one.expected_accuracy for one in found}["phone"] == 0.5


def test_categories_of_one_slice_that_change_places_are_named():
    rng = np.random.default_rng(5)

    def visits(rows):
        values, device = draw(rng, rows)
        values[:, 3] = rng.normal(size=rows)
        plan = rng.choice(["free", "paid"], rows, p=[0.7, 0.3]).astype(object)
        return values, {"device": device, "plan": plan}

    (known, theirs), (served, ours) = visits(3_000), visits(1_200)

    def compare_with(plan):
        columns = [SliceColumn("device", ours["device"], theirs["device"], known, theirs)]
        texts = ours | {"plan": plan}
        whole = calibrate(known, len(served))
        return compare_slices(
            columns, served, whole, NAMES, RATE, np.ones(1_200), lambda *_: (), texts
        )

    assert not any(one.drifted_count for one in compare_with(ours["plan"]))
    plan, tablets = ours["plan"].copy(), np.flatnonzero(ours["device"] == "tablet")
    plan[tablets] = rng.permutation(["paid", "free"] * 600)[tablets]
    plan[tablets[:30]] = "trial"
    found = compare_with(plan)
    assert [one.value for one in found if one.drifted_count] == ["tablet"]
    first = found[0]
    assert (first.feature, first.drifted_count, first.training_mean) == ("plan", 1, None)
    assert first.effect == first.codes[0].divergence
    assert "tablet" in describe_slices(found)
    assert "the categories of plan come in other proportions" in describe_slices(found)
    assert "(trial)" in describe_slices(found)


def test_small_and_new_slices_are_shown_and_not_judged(reference):
    values, device = draw(np.random.default_rng(3), 800)
    device[:40] = "car"
    values[device == "watch"] += 9
    values[:40] += 9
    found = compare(reference, (values, device))
    assert {one.value for one in found if not one.judged} == {"car", "watch"}
    assert not any(one.drifted_count for one in found)
    assert describe_slices(found) == ""
    assert "device = car (40)" in small_slices(found)


def test_columns_are_chosen_and_refused():
    rng = np.random.default_rng(4)
    table = np.empty(100, [("price", np.float32), ("stars", np.float32), ("on", object)])
    table["price"], table["stars"] = rng.normal(size=100), rng.integers(1, 6, 100)
    table["on"] = rng.choice(["phone", "desktop"], 100)
    split = Split(table, rng.integers(0, 2, 100))
    data = Dataset("shop", ("no", "yes"), 1.0, split, split, split, task="binary", kind="table")
    assert chosen_columns(None, data) == ("on",)
    wanted = chosen_columns(["hour", "predicted", "stars"], data)
    with pytest.raises(ConfigError, match=r"`slices`: shop has no column 'hours'.*`hour`"):
        chosen_columns(["hours"], data)
    with pytest.raises(ConfigError, match="price has 100 different values"):
        chosen_columns(["price"], data)

    answers = np.eye(2, dtype=np.float32)[split.labels]
    unsure = answers.copy()
    unsure[0] = np.nan
    times = 1.8e9 + 3600.0 * np.arange(100)
    hour, predicted, stars = slice_columns(
        wanted, describe(data), data, table, times, (answers, unsure)
    )
    assert hour.served[:2].tolist() == ["08:00 UTC", "09:00 UTC"]
    assert hour.known is None
    assert predicted.served[0] == ""
    assert predicted.known.tolist() == [data.classes[label] for label in split.labels]
    assert set(stars.served) == set("12345")

    pixels = Split(rng.integers(0, 2, (50, 2)).astype(np.float32), np.zeros(50, np.int64))
    arrays = Dataset("bits", ("no", "yes"), 1.0, pixels, pixels, pixels)
    assert chosen_columns(None, arrays) == ()
    assert chosen_columns(["feature[1]"], arrays) == ("feature[1]",)
