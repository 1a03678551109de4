"""Sketches add up exactly, and distances over them are those over the rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp, wasserstein_distance

from agiwb.errors import ConfigError
from agiwb.monitoring.distances import measure, measure_categories
from agiwb.monitoring.sketches import CategoryCounts, NumericBins, NumericSketch, sum_sketches


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    made = rng.normal(size=(5000, 4)).astype(np.float32)
    made[:, 1] = np.round(made[:, 1])
    made[:, 2] = np.exp(made[:, 2])
    made[:, 3] = 7
    return made


def test_the_sum_of_the_parts_is_the_whole(rows):
    bins = NumericBins.from_reference(rows)
    whole = NumericSketch.of(bins, rows)
    total = sum_sketches((NumericSketch.of(bins, part) for part in np.split(rows, 10)), bins)
    np.testing.assert_array_equal(total.counts, whole.counts)
    np.testing.assert_allclose(total.means, rows.mean(axis=0, dtype=np.float64))
    again = NumericSketch.from_arrays(bins, total.to_arrays())
    np.testing.assert_array_equal(again.counts, whole.counts)
    assert whole.counts[0].max() <= 2 * len(rows) / 253


def test_what_is_outside_the_reference_or_no_number_is_counted(rows):
    bins = NumericBins.from_reference(rows)
    odd = np.array([[np.nan, -99, 0, 6], [np.inf, 99, 1e9, 8], [0, 0, 1, 7]], np.float32)
    sketch = NumericSketch.of(bins, odd)
    assert sketch.missing.tolist() == [2, 0, 0, 0]
    assert sketch.below.tolist() == [0, 1, 1, 1]
    assert sketch.above.tolist() == [0, 1, 1, 1]
    assert sketch.rows.tolist() == [3, 3, 3, 3]
    np.testing.assert_allclose(bins.lowest, rows.min(axis=0))
    np.testing.assert_allclose(bins.highest, rows.max(axis=0))


def test_distances_are_scipys(rows):
    window = rows[:2000] * np.float32(1.2) + np.float32(0.1)
    bins = NumericBins.from_reference(rows)
    found = measure(NumericSketch.of(bins, rows), NumericSketch.of(bins, window))
    for place in range(4):
        pair = rows[:, place], window[:, place]
        assert found.ks[place] == pytest.approx(ks_2samp(*pair).statistic, abs=1 / 253)
        exact = wasserstein_distance(*pair)
        if place == 1:  # the window's values lie between the reference's few, where they cross
            assert 0.7 * exact < found.wasserstein[place] <= exact
        else:
            assert found.wasserstein[place] == pytest.approx(exact, rel=2e-2)
    same = measure(NumericSketch.of(bins, rows), NumericSketch.of(bins, rows))
    for name in ("ks", "wasserstein", "psi", "jensen_shannon", "chi_square"):
        np.testing.assert_allclose(getattr(same, name), 0, atol=1e-9)


@pytest.mark.parametrize("broken", [np.zeros((0, 4)), np.full((9, 4), np.nan)])
def test_without_a_number_there_is_no_distance(rows, broken):
    for reference, window in ((rows, broken), (broken, rows), (broken, broken)):
        bins = NumericBins.from_reference(reference)
        found = measure(NumericSketch.of(bins, reference), NumericSketch.of(bins, window))
        assert (found.ks == 0).all()
        assert (found.chi_square_p_value == 1).all()
        assert all(np.isfinite(values).all() for values in vars(found).values())


def test_sketches_of_other_bins_are_refused(rows):
    first, second = (NumericBins.from_reference(part) for part in np.split(rows, 2))
    pair = NumericSketch.of(first, rows), NumericSketch.of(second, rows)
    with pytest.raises(ConfigError, match="different bins"):
        _ = pair[0] + pair[1]
    with pytest.raises(ConfigError, match="different bins"):
        measure(*pair)
    with pytest.raises(ConfigError, match="have 3 features, and the reference has 4"):
        NumericSketch.of(first, rows[:, :3])


def test_a_category_never_seen_is_drift():
    known = CategoryCounts.of(["a"] * 400 + ["b"] * 600)
    quiet = CategoryCounts.of(["a"] * 80 + ["b"] * 120 + [None], known.known)
    assert measure_categories(known, quiet).p_value > 0.9
    assert quiet.missing == 1
    moved = quiet + CategoryCounts.of(["new"] * 20, known.known)
    found = measure_categories(known, moved)
    assert (moved.unseen, moved.examples) == (20, ("new",))
    assert found.p_value < 1e-9
    assert found.unseen_share == pytest.approx(20 / 220)
    assert measure_categories(known, CategoryCounts.of([], known.known)).p_value == 1
    with pytest.raises(ConfigError, match="different categories"):
        measure_categories(known, known + CategoryCounts.of(["a"], ["a"]))
