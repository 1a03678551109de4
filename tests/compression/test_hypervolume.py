"""The hypervolume, against counting cells of a grid."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agiwb.compression.candidate import Candidate
from agiwb.compression.hypervolume import dominated_volume, hypervolume, reference_of
from tests.compression.rows import BASELINE_ROW, row

CELLS = 6
COORDINATE = st.integers(0, CELLS + 1)
POINTS = st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE), max_size=8)


@given(POINTS)
def test_it_is_the_number_of_cells_that_a_point_dominates(points: list[tuple[int, int, int]]):
    cells = itertools.product(range(CELLS), repeat=3)
    dominated = sum(
        any(all(p <= c for p, c in zip(point, cell, strict=True)) for point in points)
        for cell in cells
    )
    assert dominated_volume(points, (CELLS, CELLS, CELLS)) == pytest.approx(dominated)


@given(POINTS, st.randoms())
def test_neither_order_nor_dominated_points_change_it(points: list[tuple[int, int, int]], random):
    reference = (CELLS, CELLS, CELLS)
    worse = [(x + 1, y, z + 1) for x, y, z in points]
    mixed = points + worse
    random.shuffle(mixed)
    assert dominated_volume(mixed, reference) == pytest.approx(dominated_volume(points, reference))


def test_it_agrees_with_random_sampling():
    draw = np.random.default_rng(0)
    points, samples = draw.random((12, 3)), draw.random((200_000, 3))
    covered = (samples[:, None, :] >= points[None]).all(axis=2).any(axis=1).mean()
    exact = dominated_volume([tuple(point) for point in points], (1.0, 1.0, 1.0))
    assert exact == pytest.approx(covered, abs=0.005)


def test_a_baseline_alone_has_a_thousandth():
    assert hypervolume([BASELINE_ROW]) == pytest.approx(0.001)
    assert reference_of([BASELINE_ROW]) == pytest.approx(
        {"validation_accuracy": 0.873, "gzip_bytes": 1100, "latency_ratio": 1.1}
    )


def test_a_smaller_and_faster_candidate_covers_more():
    small = row("int8", 0.97, 500, 0.5)
    assert hypervolume([BASELINE_ROW, small]) == pytest.approx(0.1 * 0.6 * 0.6)


def test_luck_and_what_lies_beyond_the_reference_cover_nothing():
    lucky = row("lucky", 0.98, 1000, validation_p_value=0.3)
    useless = row("useless", 0.5, 10, 0.1, validation_p_value=0.0001)
    assert hypervolume([BASELINE_ROW, lucky, useless]) == pytest.approx(0.001)


def test_without_a_baseline_there_is_none():
    failed = Candidate(name="baseline", reason="no")
    assert (hypervolume([failed]), reference_of([failed])) == (0.0, {})
