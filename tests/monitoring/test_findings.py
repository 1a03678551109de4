"""Samples, odd rows, slices, labels, consequences and changes: found where they are, else not."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.datasets.dataset import Dataset, Split
from agiwb.datasets.registry import load_dataset
from agiwb.monitoring.anomalies import (
    autoencoder_oddity,
    isolation_oddity,
    more_errors,
    odd_values,
    robust_z_scores,
)
from agiwb.monitoring.calibration import calibrate
from agiwb.monitoring.categories import compare_codes
from agiwb.monitoring.changes import find_changes
from agiwb.monitoring.clocks import check_clocks
from agiwb.monitoring.consequence import put_back, weigh_drift
from agiwb.monitoring.described import describe
from agiwb.monitoring.hours import compare_hours, describe_hours
from agiwb.monitoring.labelled import (
    accuracy_of_sample,
    labels_needed,
    measure_performance,
    rows_to_label,
)
from agiwb.monitoring.operation import odd_hours
from agiwb.monitoring.self_test import self_test
from agiwb.monitoring.sketches import NumericBins, NumericSketch
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


def test_components_do_not_tell_the_reference_from_rows_like_it():
    # Along its own components a sample varies more, or less, than others of the same origin.
    rng = np.random.default_rng(13)
    ranks = []
    for _ in range(12):
        known, served = embed(rng.normal(size=(400, 12)), rng.normal(size=(200, 12)))
        ranks.append(compare_samples(known, served).p_value)
    assert np.median(ranks) > 0.2


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


def test_images_that_an_autoencoder_cannot_redraw_are_found():
    data = load_dataset("digits")
    known, served = data.train.features, data.test.features[:200].copy()
    assert odd_values("images", *autoencoder_oddity(known, served), 0.002) is None
    served[:20] = served[:20].transpose(0, 2, 1)[:, ::-1]
    served[20] = np.nan
    found = odd_values("images", *autoencoder_oddity(known, served), 0.002)
    assert "cannot redraw" in found.sentence
    assert sum(row < 20 for row in found.rows[:15]) >= 12
    assert 20 not in found.rows


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
    split = Split(reference, np.zeros(800, np.int64))
    described = describe(Dataset("d", ("a", "b"), 1.0, split, split, split))

    def ask(rows):  # only the first feature matters, and the further out the less sure
        sure = 1 / (1 + np.exp(-2 + np.abs(rows[:, 0])))
        return np.stack((sure, 1 - sure), axis=1).astype(np.float32)

    def weigh(rows, places):
        return weigh_drift(ask, lambda answers: answers[:, 0], described, reference, rows, places)

    found = weigh(window, [0, 1])
    assert [one.feature for one in found] == ["feature[0]", "feature[1]"]
    assert found[0].change < -0.1
    assert found[1].change == 0
    assert weigh(window[:1], [0]) == ()
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


def test_labels_say_how_often_the_model_was_right():
    answers = np.eye(2, dtype=np.float32)[np.zeros(60, int)]
    answers[0] = np.nan
    sure = np.full(60, 0.9)
    few = measure_performance(
        answers, np.full(60, -1), 90, 100, expected=sure, window_expected=sure
    )
    assert few.accuracy is None
    assert few.sentence.startswith("Not enough labels: 0 rows have one")
    assert few.sentence.endswith("60 labels name none of the classes.")
    told = measure_performance(
        answers, np.arange(60) % 2, 90, 100, expected=sure, window_expected=sure
    )
    assert told.accuracy == 29 / 60
    assert told.p_value < 1e-6
    assert not told.chosen
    assert told.window_accuracy == pytest.approx(29 / 60)


def test_labels_of_doubtful_rows_do_not_stand_for_all():
    rng = np.random.default_rng(9)
    window = np.concatenate((np.full(900, 0.99), np.full(100, 0.6)))
    doubtful = window[900:]
    answers = np.eye(2, dtype=np.float32)[np.zeros(100, int)]
    labels = (rng.random(100) > doubtful).astype(np.int64)
    found = measure_performance(
        answers, labels, 950, 1000, expected=doubtful, window_expected=window
    )
    assert found.chosen
    assert found.accuracy < 0.75
    assert found.p_value > 0.01
    assert found.window_accuracy == pytest.approx(0.95, abs=0.1)


def test_a_rule_names_categories():
    rng = np.random.default_rng(14)
    columns = np.column_stack([rng.normal(size=2000), rng.integers(0, 2, 2000)])
    loss = (rng.random(2000) < np.where(columns[:, 1] == 1, 0.5, 0.05)).astype(float)
    found = find_weak_slices(columns, loss, ["age", "device = phone"])
    assert "device = phone" in found[0].rule
    opposite = find_weak_slices(columns, 1 - loss, ["age", "device = phone"])
    assert "device is not phone" in opposite[0].rule


def test_codes_that_change_places_or_were_never_seen_are_found():
    rng = np.random.default_rng(10)
    names, alike = ("code", "amount"), np.ones(2)
    share = np.array([0.3, 0.2, 0.0, 0.2, 0.3])

    def draw(rows, share):
        return np.column_stack([rng.choice(5, rows, p=share), rng.normal(size=rows)])

    known = draw(2000, share)
    quiet = [compare_codes(known, draw(300, share), names, alike, 0.05) for _ in range(40)]
    assert sum(map(bool, quiet)) <= 6
    moved = compare_codes(known, draw(300, share[[1, 0, 2, 4, 3]]), names, alike, 0.005)
    assert [one.feature for one in moved] == ["code"]
    window = draw(300, share)
    window[:12, 0] = 2
    found = compare_codes(known, window, names, alike, 0.005)[0]
    assert found.unseen == ("2",)
    assert found.unseen_share == pytest.approx(12 / 300)
    assert "never seen in training (2)" in found.sentence
    assert compare_codes(known[:, 1:], window[:, 1:], names[1:], alike[1:], 0.05) == ()


def test_hours_say_since_when():
    rng = np.random.default_rng(11)
    reference = rng.normal(size=(2000, 3))
    known = NumericSketch.of(NumericBins.from_reference(reference, "abc"), reference)
    times = 1.8e9 + np.arange(1200) * 18.0  # 200 rows an hour
    rows = rng.normal(size=(1200, 3))
    calibration = calibrate(reference, 1200)
    assert compare_hours(known, times, rows, calibration, 0.01) == ()
    rows[800:, 1] += 1
    found = compare_hours(known, times, rows, calibration, 0.01)
    assert [one.start.timestamp() for one in found] == [1.8e9 + 3600 * hour for hour in (4, 5)]
    assert {one.feature for one in found} == {"b"}
    assert "Features drifted in 2 hours, the first from 2027-01-15 12:00 UTC on (200 rows)" in (
        describe_hours(found)
    )
    assert compare_hours(known, times[:100], rows[:100], calibration, 0.01) == ()


def test_clocks_that_cannot_be_right_are_told():
    times = 1e9 + np.arange(20.0)
    places = np.column_stack([np.repeat([1, 2], 10), np.tile(np.arange(10), 2)])
    assert check_clocks(times, places, 1e9 + 20, np.ones(3)) == ()
    times[15:] -= 7200
    found = check_clocks(times, places, 1e9 - 300, np.array([-90.0, 5]))
    assert [(one.kind, one.rows) for one in found] == [
        ("ahead", 15),
        ("set back", 5),
        ("label before request", 1),
    ]
    assert "5 rows are dated up to 2 hours before earlier ones" in found[1].sentence


def test_an_hour_far_from_the_usual_traffic_is_odd():
    usual = np.random.default_rng(12).poisson(100, 72).astype(float)
    hours = np.array([0, 3600, 7200])
    found = odd_hours(usual, np.array([99.0, 900.0, 4.0]), hours)
    assert [one.share for one in found] == [900, 4]
    assert "from 1970-01-01 01:00 UTC 900 rows were served" in found[0].sentence
    assert odd_hours(usual[:5], np.array([900.0]), hours[:1]) == ()


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
