from __future__ import annotations

import os

import numpy as np
import pytest

from agiwb.serving.prediction_log import (
    PredictionLog,
    find_prediction,
    iterate_predictions,
    read_predictions,
)
from agiwb.serving.prediction_log.compaction import compact
from tests.serving.prediction_log.logged_predictions import assert_same, prediction, write

DAY = 86_400


@pytest.fixture(params=["segments", "parquet"])
def settle(request, tmp_path):
    """Return a function that leaves the log as it is, or compacts it."""
    return lambda: compact(tmp_path / "m") if request.param == "parquet" else None


def times_in(folder, last_rows=None):
    return read_predictions(folder / "m", last_rows).times.tolist()


def test_a_window_has_one_row_for_each_example(tmp_path, settle):
    write(tmp_path, prediction(1, rows=2), prediction(2, version=7))
    settle()
    window = read_predictions(tmp_path / "m")
    assert len(window) == 3
    assert window.times.tolist() == [1, 1, 2]
    assert window.versions.tolist() == [1, 1, 7]
    np.testing.assert_allclose(window.features, [[1, 1], [1.1, 1.1], [2, 2]], rtol=1e-6)
    np.testing.assert_allclose(window.probabilities, [[0.2, 0.8]] * 3, rtol=1e-6)
    assert (window.features.dtype, window.probabilities.dtype) == (np.float32, np.float32)
    assert (window.times.dtype, window.versions.dtype) == (np.float64, np.int64)


@pytest.mark.parametrize("last_rows", [0, 1, 2, 3, 4, 5, 99])
def test_the_newest_rows_are_taken_across_processes(tmp_path, settle, last_rows):
    write(tmp_path, prediction(1), prediction(4, rows=2), seen_at=4.1)
    write(tmp_path, prediction(2), prediction(3), seen_at=3.1)
    settle()
    assert times_in(tmp_path, last_rows) == [1, 2, 3, 4, 4][max(0, 5 - last_rows) :]


def test_old_segments_are_not_read_for_a_few_rows(tmp_path, caplog):
    old = write(tmp_path, *map(prediction, range(9)))
    write(tmp_path, prediction(55), prediction(66), seen_at=66.1)
    content = bytearray(old.read_bytes())
    content[200] ^= 1
    old.write_bytes(content)
    os.utime(old, (9, 9))
    assert times_in(tmp_path, 2) == [55, 66]
    assert "damaged" not in caplog.text
    assert len(times_in(tmp_path)) == 10
    assert "damaged: its bytes from" in caplog.text


def test_old_days_are_not_opened_for_a_few_rows(tmp_path):
    write(tmp_path, *(prediction(day * DAY + 5) for day in (1, 2, 3)))
    compact(tmp_path / "m")
    for day in ("1970-01-02", "1970-01-03"):
        [part] = (tmp_path / "m" / f"day={day}").iterdir()
        part.write_bytes(b"damaged")
    assert times_in(tmp_path, 1) == [3 * DAY + 5]


@pytest.mark.parametrize("folder", ["missing", "."])
def test_no_log_is_an_empty_window(tmp_path, folder):
    window = read_predictions(tmp_path / folder)
    assert len(window) == 0
    assert window.features.shape == (0, 0)
    assert find_prediction(tmp_path / folder, "r") is None
    assert list(iterate_predictions(tmp_path / folder)) == []


def test_rows_of_another_signature_are_left_out_and_do_not_count(tmp_path, settle):
    old = [prediction(time, width=3) for time in (4, 5, 6)]
    write(tmp_path, prediction(1), prediction(2), *old, prediction(7), seen_at=7.1)
    write(tmp_path, *(prediction(time, width=3) for time in (3, 3.5, 6.5)), seen_at=6.6)
    settle()
    assert times_in(tmp_path, 3) == [1, 2, 7]
    assert times_in(tmp_path) == [1, 2, 7]


def test_what_has_no_numbers_is_left_out(tmp_path, settle):
    text, none = {"x": np.array(["a"], object)}, {}
    write(tmp_path, prediction(1), prediction(2, inputs=text), prediction(3, inputs=none))
    settle()
    assert times_in(tmp_path) == [1]


def test_nan_and_infinity_come_back(tmp_path, settle):
    write(tmp_path, prediction(1, inputs={"features": np.array([[np.nan, np.inf]])}))
    settle()
    np.testing.assert_array_equal(read_predictions(tmp_path / "m").features, [[np.nan, np.inf]])


def test_one_number_for_each_row_is_a_column(tmp_path, settle):
    columns = {"inputs": {"x": np.array([1.0, 2])}, "outputs": {"y": np.array([3.0, 4])}}
    write(tmp_path, prediction(1, **columns))
    settle()
    window = read_predictions(tmp_path / "m")
    assert window.features.tolist() == [1, 2]
    assert window.probabilities.tolist() == [3, 4]


def test_a_window_is_the_same_to_the_bit_before_and_after_compaction(tmp_path):
    random = np.random.default_rng(1)
    for _ in range(3):
        moments = random.integers(0, 3 * DAY, 60) / 4  # some requests come at the same time
        write(tmp_path, *(prediction(float(t), rows=1 + int(t) % 3) for t in moments))
    for last_rows in (None, 17):
        before = read_predictions(tmp_path / "m", last_rows)
        compact(tmp_path / "m")
        after = read_predictions(tmp_path / "m", last_rows)
        for name, array in vars(before).items():
            assert array.tobytes() == getattr(after, name).tobytes()


def test_parquet_and_the_live_tail_are_read_together(tmp_path):
    write(tmp_path, prediction(1), prediction(3))
    compact(tmp_path / "m")
    log = PredictionLog(tmp_path)
    log.append(prediction(4))
    log.append(prediction(2))
    assert times_in(tmp_path) == [1, 2, 3, 4]
    assert [entry.time for entry in iterate_predictions(tmp_path / "m")] == [1, 2, 3, 4]
    assert find_prediction(tmp_path / "m", "r1").time == 1
    assert find_prediction(tmp_path / "m", "r2").time == 2
    assert find_prediction(tmp_path / "m", "r9") is None
    log.close()


def entries_of_all_kinds():
    return [
        prediction(1.25, version=2**62, variant="challenger", signature_name="s"),
        prediction(2, inputs={"a": np.float64(3).reshape(()), "b": np.zeros((2, 0), np.int8)}),
        prediction(3, inputs={"features": np.arange(4, dtype=np.int16)}),
        prediction(DAY + 4, inputs={"features": np.array([["ä", "b"]], object)}),
        prediction(DAY + 5, inputs={"z": np.array([1 + 2j], np.complex64)}, outputs={}),
        prediction(DAY + 6, inputs={"z": np.array([b"\xff", b""], object)}, request_id="ü"),
        prediction(DAY + 7, inputs={"z": np.array([True]), "h": np.float16([1.5])}),
    ]


def test_every_field_comes_back_in_order_of_time(tmp_path, settle):
    entries = entries_of_all_kinds()
    write(tmp_path, *reversed(entries))
    settle()
    for found, entry in zip(iterate_predictions(tmp_path / "m"), entries, strict=True):
        assert_same(found, entry)
    for entry in entries:
        assert_same(find_prediction(tmp_path / "m", entry.request_id), entry)
    some = iterate_predictions(tmp_path / "m", 2, DAY + 5)
    assert [entry.time for entry in some] == [2, 3, DAY + 4, DAY + 5]


def test_what_is_compacted_meanwhile_is_still_read(tmp_path):
    write(tmp_path, *map(prediction, range(5)))
    rows = iterate_predictions(tmp_path / "m")
    first = next(rows)
    assert compact(tmp_path / "m").segments == 1
    assert [first.time, *(entry.time for entry in rows)] == [0, 1, 2, 3, 4]
