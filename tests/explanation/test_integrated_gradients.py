from __future__ import annotations

import numpy as np
import pytest

from agiwb.explanation.integrated_gradients import PathFunction, integrate

DRAW = np.random.default_rng(0)


def path(value, gradient) -> PathFunction:
    return lambda points, _: (value(points), gradient(points))


def squares() -> PathFunction:
    return path(lambda x: (x**2).sum(axis=1), lambda x: 2 * x)


def steep(slope: float) -> PathFunction:
    """A sigmoid of the sum whose gradient is concentrated at a small part of the path."""

    def value(x: np.ndarray) -> np.ndarray:
        return (1 + np.tanh(slope * (x.sum(axis=1) - 0.7) / 2)) / 2

    return path(value, lambda x: (slope * value(x) * (1 - value(x)))[:, None] * np.ones_like(x))


def test_the_attributions_of_a_sum_of_squares_are_its_terms() -> None:
    x = DRAW.normal(size=(3, 4)).astype(np.float32)
    found = integrate(squares(), x, np.zeros(4, np.float32), steps=2)
    assert found.contributions == pytest.approx(x.astype(float) ** 2, rel=1e-5)
    assert found.answers == pytest.approx((x**2).sum(axis=1))
    assert found.gaps.max() < 1e-6
    assert list(found.steps) == [2, 2, 2]


def test_a_baseline_is_where_the_path_begins() -> None:
    x, start = np.array([[3.0, 1.0]], np.float32), np.array([1.0, 1.0], np.float32)
    found = integrate(squares(), x, start, steps=2)
    assert found.contributions == pytest.approx(np.array([[8.0, 0.0]]))
    assert found.reference_answers == pytest.approx([2])


def test_steps_are_doubled_only_for_examples_that_need_them() -> None:
    def value(x: np.ndarray, examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        easy, hard = squares()(x, examples), steep(200)(x, examples)
        is_hard = examples == 1
        return np.where(is_hard, hard[0], easy[0]), np.where(is_hard[:, None], hard[1], easy[1])

    x = np.array([[0.4, 0.6], [0.4, 0.6]], np.float32)
    found = integrate(value, x, np.zeros(2, np.float32), steps=4, tolerance=0.01)
    assert found.steps[0] == 4
    assert found.steps[1] > 32
    assert found.gaps.max() <= 0.01
    assert found.contributions[1] == pytest.approx([0.4, 0.6], abs=0.01)


def test_what_never_adds_up_is_said_and_the_nearest_is_kept() -> None:
    x = np.array([[0.4, 0.6]], np.float32)
    found = integrate(steep(1000), x, np.zeros(2, np.float32), steps=4, max_steps=16)
    assert found.gaps[0] > 0.01
    assert found.steps[0] in (4, 8, 16)
    tries = [
        integrate(steep(1000), x, np.zeros(2, np.float32), steps=n, max_steps=n).gaps[0]
        for n in (4, 8, 16)
    ]
    assert found.gaps[0] == pytest.approx(min(tries))


def test_a_difference_of_nearly_nothing_is_judged_by_the_largest() -> None:
    def value(x: np.ndarray, examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x.sum(axis=1) * 1.001, np.ones_like(x)  # gradients off by a thousandth

    x = np.array([[10.0, 0.0], [1.0, -1.000001]], np.float32)
    gaps = integrate(value, x, np.zeros(2, np.float32)).gaps
    assert gaps[0] == pytest.approx(0.001, rel=0.01)
    assert gaps[1] < 0.01


def test_many_rows_are_asked_about_in_parts() -> None:
    sizes, phases = [], []

    def value(x: np.ndarray, examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sizes.append(len(x))
        return squares()(x, examples)

    x = DRAW.normal(size=(100, 3)).astype(np.float32)
    found = integrate(
        value, x, np.zeros(3, np.float32), steps=8,
        report=lambda phase, done, total: phases.append((phase, done, total)),
    )  # fmt: skip
    assert max(sizes) <= 256
    assert found.gaps.max() < 1e-5
    assert phases[-1] == ("integrating over 8 steps", 800, 800)
