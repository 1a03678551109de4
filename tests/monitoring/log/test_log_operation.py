"""Odd hours of a real log, as the monitor step sees them through the rollups."""

from __future__ import annotations

import numpy as np

from agiwb.datasets.dataset import Dataset, Split
from agiwb.monitoring.log import read_latencies, roll
from agiwb.monitoring.operation import check_operation
from agiwb.monitoring.window import Chosen, read_window
from agiwb.serving.prediction_log.compaction import compact
from tests.serving.prediction_log.logged_predictions import prediction, write

HOUR = 3600


def test_an_hour_with_far_more_rows_is_told_from_the_rollups(tmp_path, monkeypatch):
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path))
    rows_of = {hour: 5 + hour % 3 for hour in range(40)} | {37: 90}
    write(
        tmp_path / "predictions",
        *(
            prediction(hour * HOUR + index * HOUR / rows)
            for hour, rows in rows_of.items()
            for index in range(rows)
        ),
    )
    chosen = Chosen("m", since=36 * HOUR)
    split = Split(np.zeros((1, 2), np.float32), np.zeros(1, np.int64))
    data = Dataset("d", ("a", "b"), 1.0, split, split, split)
    traffic = read_window(chosen, data)
    assert check_operation(chosen, traffic) == ()  # nothing was rolled up
    compact(chosen.folder)
    roll(chosen.folder)
    found = check_operation(chosen, traffic)
    assert [(one.kind, one.share) for one in found] == [("traffic", 90)]
    assert "In the hour from 1970-01-02 13:00 UTC 90 rows" in found[0].sentence
    earlier = read_latencies(chosen.folder, 36.0 * HOUR)
    assert len(earlier) == sum(rows_of[hour] for hour in range(36))
    assert len(read_latencies(chosen.folder, 36.0 * HOUR, version=2)) == 0
