"""Two runs side by side, on records made by hand: only the figures matter here."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agiwb.config import Config
from agiwb.errors import InputError
from agiwb.history.comparison import compare, difference_interval
from agiwb.runs.files import StoredFile
from agiwb.runs.provenance import Provenance
from agiwb.runs.record import Record, RunInfo
from agiwb.statistics import Interval, wilson_interval


class Settings(Config):
    units: int = 8


class Scored(Record):
    main_metric: str = "accuracy"
    test_interval: Interval


def scored(
    right: int, digest: str = "a", step: str = "train", units: int = 8, **metrics: float
) -> Scored:
    origin = Provenance(
        inputs={"dataset": "d"}, parents={}, packages={"numpy": "1"}, code_sha256="c",
        git_commit=None, git_dirty=None, python="3.11", machine="m",
    )  # fmt: skip
    run = RunInfo(
        id=digest * 32, step=step, folder=Path(), cache_key="", started_at=datetime.now(UTC),
        provenance=origin, files=(StoredFile(path="model", size_bytes=1, sha256=digest),),
    )  # fmt: skip
    interval = wilson_interval(right, 360)
    return Scored(
        run=run,
        config=Settings(units=units),
        metrics={"test_accuracy": right / 360, **metrics},
        test_interval=interval,
    )


def test_equal_figures_and_files_are_identical_whatever_the_time_was() -> None:
    made = compare(scored(300, latency_ms=1.0), scored(300, latency_ms=2.0))
    assert made.verdict == "identical"
    assert made.config == ()


def test_equal_figures_with_other_bytes_are_the_same_results() -> None:
    made = compare(scored(300), scored(300, digest="b"))
    assert made.verdict == "same results"
    assert "model" in made.sentence()


def test_a_small_difference_is_within_the_intervals_and_a_large_one_is_not() -> None:
    assert compare(scored(300), scored(303, "b", units=9)).verdict == "within the intervals"
    made = compare(scored(300), scored(200, "b", units=9))
    assert made.verdict == "different"
    assert [one.name for one in made.config] == ["units"]
    assert "`units`" in made.sentence()


def test_a_figure_without_an_interval_that_differs_is_different() -> None:
    assert compare(scored(300, test_loss=1.0), scored(300, test_loss=1.1)).verdict == "different"
    nan = math.nan
    assert compare(scored(300, test_loss=nan), scored(300, test_loss=nan)).verdict == "identical"


def test_runs_of_two_steps_are_not_compared() -> None:
    with pytest.raises(InputError, match="two runs of one step"):
        compare(scored(300), scored(300, step="sweep"))


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """Newcombe (1998), table II, method 10: 56/70 less 48/80 is 0.2, from 0.0524 to 0.3339."""
    low, high = difference_interval(
        48 / 80, wilson_interval(48, 80), 56 / 70, wilson_interval(56, 70)
    )
    assert low == pytest.approx(0.0524, abs=5e-5)
    assert high == pytest.approx(0.3339, abs=5e-5)
