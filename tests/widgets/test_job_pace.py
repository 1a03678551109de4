"""Progress, pace and curves of a job, from events alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agiwb.runs.events import Event
from widgets.job.curves import curves_svg, thinned
from widgets.job.pace import Pace, duration

_START = datetime(2026, 1, 1, tzinfo=UTC)


def event(seconds: float, phase: str, done: int, total: int) -> Event:
    at = _START + timedelta(seconds=seconds)
    return Event(message="", phase=phase, done=done, total=total, at=at)


def test_epochs_are_equal_parts_of_the_whole() -> None:
    pace = Pace()
    pace.take(event(0, "epoch 1 of 4", 0, 10))
    assert pace.fraction == 0
    pace.take(event(10, "epoch 2 of 4", 10, 10))
    assert pace.fraction == pytest.approx(0.5)
    assert pace.left_s == pytest.approx(10)
    assert pace.is_of_all


def test_a_phase_that_is_not_counted_says_nothing_of_the_whole() -> None:
    pace = Pace()
    pace.take(event(0, "fine-tune prune_80", 0, 100))
    pace.take(event(5, "fine-tune prune_80", 50, 100))
    assert pace.left_s == pytest.approx(5)
    assert not pace.is_of_all


def test_a_long_curve_is_drawn_with_few_points_and_all_its_extremes() -> None:
    line = [(epoch, 1 / epoch) for epoch in range(1, 10_001)]
    line[5_000] = (5_001, 9.0)  # a spike that must not vanish
    drawn = thinned(line, 100)
    assert len(drawn) <= 100
    assert drawn[0] == line[0]
    assert drawn[-1] == line[-1]
    assert (5_001, 9.0) in drawn
    assert sorted(drawn) == list(drawn)
    assert len(curves_svg({"train_loss": line})) < 8_000
    assert thinned(line[:50], 100) == line[:50]


def test_the_rate_is_of_this_phase() -> None:
    pace = Pace()
    pace.take(event(0, "epoch 1 of 2", 10, 100))
    pace.take(event(2, "epoch 1 of 2", 30, 100))
    assert pace.rate == pytest.approx(10)


def test_a_resumed_job_begins_a_pace_of_its_own() -> None:
    pace = Pace()
    pace.take(event(0, "epoch 1 of 4", 1, 10))
    pace.take(event(10, "epoch 2 of 4", 10, 10))
    pace.take(event(1000, "epoch 3 of 4", 1, 10))
    assert pace.left_s is None
    pace.take(event(1009, "epoch 3 of 4", 10, 10))
    assert pace.left_s == pytest.approx(10)


def test_messages_say_nothing_of_progress() -> None:
    pace = Pace()
    pace.take(Event(message="Reading."))
    assert pace.fraction is None


def test_durations_are_in_words() -> None:
    assert [duration(s) for s in (4.4, 200, 7500)] == ["4 s", "3 min 20 s", "2 h 5 min"]


def test_curves_have_a_panel_for_each_measure_and_say_their_last_values() -> None:
    svg = curves_svg(
        {
            "train_loss": [(1, 0.9), (2, 0.5)],
            "validation_loss": [(1, 1.0), (2, float("nan"))],
            "train_accuracy": [(1, 0.7)],
        }
    )
    assert svg.count("<svg") == 2
    assert 'aria-label="loss after epoch 2: train 0.5, validation 1"' in svg
    assert "nan" not in svg
    assert curves_svg({}) == ""


def test_an_axis_goes_below_zero_only_for_values_that_do() -> None:
    assert ">-" not in curves_svg({"train_loss": [(1, 0.01), (2, 1.5)]})
    assert ">-2.24</text>" in curves_svg({"train_loss": [(1, -2.0), (2, 2.0)]})
