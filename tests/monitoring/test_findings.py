"""Samples, odd rows, slices, labels, consequences and changes: found where they are, else not."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.monitoring.anomalies import isolation_oddity, more_errors, odd_values, robust_z_scores
from agiwb.monitoring.consequence import put_back, weigh_drift
from agiwb.monitoring.labelled import (
    accuracy_of_sample,
    join_by_request,
    labels_needed,
    measure_performance,
    rows_to_label,
)
from agiwb.monitoring.self_test import self_test
from agiwb.monitoring.two_sample import compare_samples, embed, window_weights
from agiwb.monitoring.worst_slices import find_weak_slices


def test_a_classifier_tells_samples_apart_only_if_they_differ():
    rng = np.random.default_rng(0)
    known = rng.normal(size=(400, 6))
    quiet = [compare_samples(known, rng.normal(size=(300, 6)), seed) for seed in range(20)]
    assert sum(found.p_value < 0.05 for found in quiet) <= 4
    assert compare_samples(known, rng.normal(0.5, 1, size=(300, 6))).p_value < 1e-4
    assert compare_samples(known, rng.normal(0, 2, size=(300, 6))).p_value < 1e-4
    assert compare_samples(known, known[:3]) is None
    assert compare_samples(known, np.full((50, 6), np.nan)) is None
    assert embed(known, np.full((5, 6), np.nan))[1].shape == (0, 6)


def test_weights_make_labelled_rows_stand_for_the_window():
    rng = np.random.default_rng(1)
    labelled = rng.normal(size=(3000, 3))
    window = rng.normal((0.8, 0, 0), 1, size=(3000, 3))
    weights = window_weights(labelled, window)
    assert weights.mean() == pytest.approx(1)
    assert (weights[:, None] * labelled).mean(axis=0) == pytest.approx([0.8, 0, 0], abs=0.15)


def test_odd_rows_are_found_and_usual_ones_are_not():
    rng = np.random.default_rng(2)
    known, window = rng.normal(size=(1200, 8)), rng.normal(size=(300, 8))
    assert odd_values("inputs", *isolation_oddity(known, window), 0.001) is None
    window[:30] *= 8
    window[30] = np.nan
    found = odd_values("inputs", *isolation_oddity(known, window), 0.001)
    assert set(found.rows) <= set(range(30))
    assert odd_values("latency", known[:, 0], window[:2, 0], 0.5) is None
    assert robust_z_scores(np.ones(9), np.array([1, 2, np.nan]))[:2].tolist() == [0, np.inf]
    assert more_errors(10, 1000, 1, 100, 0.01) is None
    assert more_errors(10, 1000, 12, 100, 0.01).kind == "errors"


def test_the_weak_slice_is_named_with_its_support():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(2000, 4)).astype(np.float32)
    weak = features[:, 2] > 0.8
    loss = (rng.random(2000) < np.where(weak, 0.6, 0.1)).astype(float)
    found = find_weak_slices(features, loss, ["a", "b", "c", "d"])
    assert "c > " in found[0].rule
    assert found[0].loss > found[0].rest_loss + 0.2
    assert found[0].holds(features).sum() == found[0].rows
    quiet = [find_weak_slices(features, rng.random(2000), "abcd", seed) for seed in range(20)]
    assert sum(map(bool, quiet)) <= 3
    assert find_weak_slices(features[:40], loss[:40], "abcd") == ()


def test_what_a_drift_does_is_what_undoing_it_gives_back():
    rng = np.random.default_rng(4)
    reference = rng.normal(size=(800, 2)).astype(np.float32)
    window = rng.normal((2, 2), 1, size=(400, 2)).astype(np.float32)
    window[0] = np.nan

    def ask(rows):  # only the first feature matters, and the further out the less sure
        sure = 1 / (1 + np.exp(-2 + np.abs(rows[:, 0])))
        return np.stack((sure, 1 - sure), axis=1).astype(np.float32)

    found = weigh_drift(ask, lambda answers: answers[:, 0], reference, window, [0, 1], "xy")
    assert [one.feature for one in found] == ["x", "y"]
    assert found[0].change < -0.1
    assert found[1].change == 0
    assert weigh_drift(ask, lambda a: a[:, 0], reference, window[:1], [0], "xy") == ()
    back = put_back(reference[:, 0], window[:, 0])
    assert np.nanmean(back) == pytest.approx(reference[:, 0].mean(), abs=0.02)


def test_as_many_labels_as_said_show_the_drop():
    rows = labels_needed(0.9, 0.02)
    rng = np.random.default_rng(5)
    limit = np.quantile(rng.binomial(rows, 0.9, 20_000), 0.05)
    assert np.mean(rng.binomial(rows, 0.88, 20_000) < limit) == pytest.approx(0.8, abs=0.04)


def test_the_rows_to_label_first_say_more_than_random_ones():
    rng = np.random.default_rng(6)
    chances = np.concatenate((np.full(1500, 0.99), rng.uniform(0.3, 0.7, 500)))
    right = rng.random(2000) < chances
    found = []
    for seed in range(100):
        rows, weights = rows_to_label(chances, 100, seed)
        assert len(set(rows.tolist())) == len(rows) == 100
        found.append(accuracy_of_sample(chances, weights, rows, right[rows]))
    assert np.mean(found) == pytest.approx(right.mean(), abs=0.01)
    assert np.std(found) < 0.8 * np.sqrt(right.mean() * (1 - right.mean()) / 100)
    assert len(rows_to_label(chances, 0)[0]) == 0


def test_labels_are_joined_and_labels_without_request_are_told():
    requests = [str(place) for place in range(60)]
    places, labels, unmatched = join_by_request(requests, {"3": 1, "5": 0, "99": 1})
    assert (places.tolist(), labels.tolist(), unmatched) == ([3, 5], [1, 0], 1)
    answers = np.eye(2, dtype=np.float32)[np.zeros(60, int)]
    few = measure_performance(answers[places], labels, 90, 100, unmatched)
    assert few.accuracy is None
    assert few.sentence.startswith("Not enough labels: 2 rows have one")
    answers[0] = np.nan
    told = measure_performance(answers, np.arange(60) % 2, 90, 100)
    assert told.accuracy == 29 / 60
    assert told.p_value < 1e-6


@pytest.mark.slow
def test_the_self_test_finds_what_it_hid():
    rng = np.random.default_rng(7)
    faults = {one.fault: one for one in self_test(rng.normal(size=(1500, 4)), 300, 0.05)}
    assert faults["no fault"].found_share <= 0.15
    assert faults["shifted by half a standard deviation"].found_share > 0.9
    assert faults["a tenth missing"].delay_rows < 60
    assert self_test(np.zeros((900, 4)), 300, 0.05) == ()
    assert self_test(np.zeros((3, 4)), 300, 0.05) == ()


def test_a_change_is_found_soon_and_dated_well():
    pytest.importorskip("river")
    from agiwb.monitoring.changes import find_changes

    rng = np.random.default_rng(8)
    assert find_changes(rng.random(2000)) == ()
    losses = (rng.random(3000) < np.where(np.arange(3000) < 2000, 0.1, 0.4)).astype(float)
    losses[5] = np.nan
    change = find_changes(losses)[0]
    assert 2000 < change.row < 2200
    assert abs(change.since - 2000) < 50
    assert change.after > 0.25
    assert change.before < 0.15
    assert find_changes(np.zeros(0)) == ()
