"""A dashboard says what the log's rows say, and compares only where there are rows enough."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.errors import NotFoundError
from agiwb.monitoring.dashboard import Asked, read_dashboard, what_is_offered
from agiwb.monitoring.log import logged_models, roll
from agiwb.serving.prediction_log.compaction import compact
from tests.serving.prediction_log.logged_predictions import prediction, write

HOUR, DAY = 3600, 86_400


def rows(count, start, version, shift=0.0, first=None):
    rng = np.random.default_rng(version)
    for index in range(count):
        features = (rng.normal(size=(1, 2)) + np.array([shift, 0])).astype(np.float32)
        if index == 0 and first is not None:
            features[0, 1] = first
        yield prediction(
            start + 60.0 * index,
            version=version,
            inputs={"features": features},
            outputs={"probabilities": np.float32([[0.3, 0.7]])},
        )


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Two days of version 1, then an hour of version 2 whose first feature moved."""
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path))
    folder = tmp_path / "predictions"
    write(folder, *rows(300, 10, 1), *rows(100, DAY + 10, 1))
    compact(folder / "m")
    roll(folder / "m")
    write(folder, *rows(50, 2 * DAY + 5, 2, shift=3.0, first=np.nan))
    return "m"


def test_a_stretch_is_counted_and_compared_with_all_before(served):
    assert logged_models() == [served]
    offered = what_is_offered(served)
    assert (offered.versions, offered.slices) == ((1, 2), ())
    assert offered.first <= 10
    assert offered.last == 2 * DAY + HOUR
    found = read_dashboard(served, Asked(2 * DAY, 2 * DAY + HOUR - 1))
    assert (found.rows, found.rows_before) == (50, 400)
    assert found.traffic.tolist() == [50]
    assert found.times.tolist() == [2 * DAY]
    assert found.latency_ms == pytest.approx(np.array([[0.5, 0.5]]))
    assert found.score == pytest.approx([0.7], abs=1e-6)
    assert found.classes == {"0": (0, 0), "1": (50, 400)}
    assert found.until == 2 * DAY + HOUR
    assert {one.feature: one.missing for one in found.quality}["feature[1]"] == 1
    assert found.changes is not None
    first = found.changes[0]
    assert first.feature == "feature[0]"
    assert first.distance > 0.8
    assert first.mean - first.mean_before == pytest.approx(3.0, abs=0.5)


def test_a_version_and_long_stretches_by_the_day(served):
    found = read_dashboard(served, Asked(0, 30 * DAY, version=1))
    assert found.rows == 400
    assert found.traffic.tolist() == [300, 100]
    assert found.changes is None  # nothing came before


def test_no_row_and_few_rows_are_no_news(served):
    empty = read_dashboard(served, Asked(2 * DAY, 3 * DAY, version=1))
    assert (empty.rows, empty.quality, empty.changes) == (0, (), None)
    assert empty.latency_ms.shape == (0, 2)
    assert read_dashboard(served, Asked(10 * HOUR, 11 * HOUR - 1)).changes is None


@pytest.mark.parametrize("name", ["other", "../m", "", "m/../m"])
def test_only_what_was_logged_is_read(served, name):
    with pytest.raises(NotFoundError):
        read_dashboard(name, Asked(0, DAY))
    with pytest.raises(NotFoundError):
        what_is_offered(name)
