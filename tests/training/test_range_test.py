from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agiwb import RangeTestConfig, RangeTestRecord, plot_range_test, range_test
from agiwb.errors import ConfigError, WorkError
from agiwb.runs.store import open_store
from agiwb.training.range_test import read_off, smooth

CONFIG = RangeTestConfig(architecture="mlp", units=32, batches=120)


@pytest.fixture(scope="module")
def record(trained_workspace: Path) -> RangeTestRecord:
    return range_test(CONFIG)


def test_a_range_must_have_a_width() -> None:
    with pytest.raises(ConfigError, match=r"min_rate \(1\) must be smaller than max_rate \(0.1\)"):
        RangeTestConfig(min_rate=1, max_rate=0.1)


def test_smoothing_begins_with_the_first_loss_and_keeps_a_constant() -> None:
    assert smooth(np.full(30, 2.5)) == pytest.approx(np.full(30, 2.5))
    by_hand = (0.9 * 0.1 * 1.0 + 0.1 * 3.0) / (1 - 0.9**2)
    assert smooth(np.array([1.0, 3.0]))[1] == pytest.approx(by_hand)


def test_lowest_and_steepest_are_read_off() -> None:
    rates = np.logspace(-4, 0, 41)
    places = np.arange(41)
    losses = 1 - 1 / (1 + np.exp(-(places - 15))) + np.where(places > 30, 0.3 * (places - 30), 0)
    lowest, steepest = read_off(rates, losses)
    assert lowest == 30
    assert steepest == 15


@pytest.mark.slow
def test_the_suggested_rate_is_one_that_learns(record: RangeTestRecord) -> None:
    assert 3e-4 < record.suggested_rate < 0.1
    assert record.suggested_rate == pytest.approx(record.lowest_rate / 10, rel=0.06)
    assert record.rates[0] == CONFIG.min_rate
    growth = np.diff(np.log(record.rates))
    assert growth == pytest.approx(np.full(len(growth), np.log(1e7) / 119))
    assert len(record.rates) == len(record.losses) == len(record.smoothed)
    assert record.smoothed[-1] > 2 * min(record.smoothed)
    assert "one tenth of" in record.verdict
    assert open_store().get(record.run.id) == record


@pytest.mark.slow
def test_the_picture_names_both_rates(record: RangeTestRecord) -> None:
    picture = plot_range_test(record)
    (axes,) = picture.axes
    assert (axes.get_xlabel(), axes.get_xscale()) == ("learning rate", "log")
    shown = " ".join(text.get_text() for text in axes.get_legend().get_texts())
    assert f"suggested: {record.suggested_rate:.2g}" in shown
    assert picture.png().startswith(b"\x89PNG")


@pytest.mark.slow
def test_rates_that_are_all_too_high_are_told(trained_workspace: Path) -> None:
    with pytest.raises(WorkError, match=r"None of .* rates from 9 .*Begin lower"):
        range_test(
            RangeTestConfig(
                architecture="mlp", optimizer="sgd", l2=1, min_rate=9, max_rate=90, batches=20
            )
        )
