from __future__ import annotations

import json
import os
import stat

import numpy as np
import pytest

from agiwb.errors import ServingError
from agiwb.serving.prediction_log import Prediction, PredictionLog, read_predictions


def prediction(time: float, rows: int = 1, *, version: int = 1, width: int = 2) -> Prediction:
    features = np.full((rows, width), time) + np.arange(rows)[:, None] / 10
    return Prediction(
        request_id=f"r{time}",
        time=time,
        model="m",
        version=version,
        inputs={"features": features},
        outputs={"probabilities": np.tile(np.float32([0.2, 0.8]), (rows, 1))},
        latency_ms=0.5,
    )


def write(folder, *predictions, seen_at=None):
    log = PredictionLog(folder)
    for entry in predictions:
        log.append(entry)
    log.close()
    if seen_at is not None:
        os.utime(log._path, (seen_at, seen_at))
    return log._path


def test_a_line_says_all_about_a_request(tmp_path):
    path = write(tmp_path, prediction(1.5))
    assert json.loads(path.read_text()) == {
        "request_id": "r1.5",
        "time": 1.5,
        "model": "m",
        "version": 1,
        "inputs": {"features": [[1.5, 1.5]]},
        "outputs": {"probabilities": [[0.2, 0.8]]},
        "latency_ms": 0.5,
    }


def test_a_request_is_one_write_and_only_for_its_owner(tmp_path, monkeypatch):
    writes = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(data) or real(fd, data))
    path = write(tmp_path / "new" / "folder", prediction(1, rows=500), prediction(2))
    assert b"".join(writes) == path.read_bytes()
    assert len(writes) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_made_before_the_first_prediction(tmp_path):
    PredictionLog(tmp_path / "predictions").close()
    assert not (tmp_path / "predictions").exists()


def test_a_window_has_one_row_for_each_example(tmp_path):
    write(tmp_path, prediction(1, rows=2), prediction(2, version=7))
    window = read_predictions(tmp_path)
    assert len(window) == 3
    assert window.times.tolist() == [1, 1, 2]
    assert window.versions.tolist() == [1, 1, 7]
    np.testing.assert_allclose(window.features, [[1, 1], [1.1, 1.1], [2, 2]], rtol=1e-6)
    np.testing.assert_allclose(window.probabilities, [[0.2, 0.8]] * 3, rtol=1e-6)
    assert (window.features.dtype, window.probabilities.dtype) == (np.float32, np.float32)
    assert (window.times.dtype, window.versions.dtype) == (np.float64, np.int64)


@pytest.mark.parametrize("last_rows", [1, 2, 3, 4, 5, 99])
def test_the_newest_rows_are_taken_across_processes(tmp_path, last_rows):
    write(tmp_path, prediction(1), prediction(4, rows=2), seen_at=4.1)
    write(tmp_path, prediction(2), prediction(3), seen_at=3.1)
    times = read_predictions(tmp_path, last_rows).times.tolist()
    assert times == [1, 2, 3, 4, 4][-last_rows:]


def test_old_segments_are_not_read_for_a_few_rows(tmp_path):
    old = write(tmp_path, prediction(1), seen_at=1.1)
    write(tmp_path, prediction(5), prediction(6), seen_at=6.1)
    old.write_text("damaged\n")
    os.utime(old, (1.1, 1.1))
    assert read_predictions(tmp_path, 2).times.tolist() == [5, 6]


def test_zero_rows_are_an_empty_window(tmp_path):
    write(tmp_path, prediction(1))
    assert len(read_predictions(tmp_path, 0)) == 0


@pytest.mark.parametrize("folder", ["missing", "."])
def test_no_log_is_an_empty_window(tmp_path, folder):
    window = read_predictions(tmp_path / folder)
    assert len(window) == 0
    assert window.features.shape == (0, 0)


def test_a_torn_last_line_is_skipped(tmp_path):
    path = write(tmp_path, prediction(1), prediction(2))
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert len(read_predictions(tmp_path)) == whole[:size].count(b"\n")


def test_a_damaged_line_is_skipped_with_a_warning(tmp_path, caplog):
    path = write(tmp_path, prediction(1), prediction(2))
    first, second = path.read_bytes().splitlines(keepends=True)
    damaged = [b"\n", b"\0\0\0\n", b"[]\n", b'{"time": 1}\n', first[:40] + b"\n"]
    path.write_bytes(first + b"".join(damaged) + second)
    assert read_predictions(tmp_path).times.tolist() == [1, 2]
    assert "5 damaged lines" in caplog.text


def test_rows_of_another_signature_are_left_out(tmp_path):
    write(tmp_path, prediction(1, width=3), prediction(2), prediction(3))
    assert read_predictions(tmp_path).times.tolist() == [2, 3]


def test_rows_of_another_signature_do_not_count(tmp_path):
    old = [prediction(time, width=3) for time in (4, 5, 6)]
    write(tmp_path, prediction(1), prediction(2), *old, prediction(7), seen_at=7.1)
    write(tmp_path, *(prediction(time, width=3) for time in (3, 3.5, 6.5)), seen_at=6.6)
    assert read_predictions(tmp_path, 3).times.tolist() == [1, 2, 7]


def test_nan_and_infinity_come_back(tmp_path):
    entry = prediction(1)
    entry.inputs["features"] = np.array([[np.nan, np.inf]])
    write(tmp_path, entry)
    np.testing.assert_array_equal(read_predictions(tmp_path).features, [[np.nan, np.inf]])


def test_one_number_for_each_row_is_a_column(tmp_path):
    entry = prediction(1)
    entry.inputs["features"], entry.outputs["probabilities"] = (
        np.array([1.0, 2]),
        np.array([3.0, 4]),
    )
    write(tmp_path, entry)
    window = read_predictions(tmp_path)
    assert window.features.tolist() == [1, 2]
    assert window.probabilities.tolist() == [3, 4]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ServingError, match="could not be logged"):
        PredictionLog(tmp_path / "file").append(prediction(1))


def test_a_full_disk_leaves_whole_lines_only(tmp_path, monkeypatch):
    log = PredictionLog(tmp_path)
    log.append(prediction(1))
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: real(fd, data[:20]))
        with pytest.raises(ServingError, match="the disk is full"):
            log.append(prediction(2))
    log.append(prediction(3))
    log.close()
    assert read_predictions(tmp_path).times.tolist() == [1, 3]
    assert log._path.read_bytes().count(b"\n") == 2
