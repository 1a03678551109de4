from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import tempfile
import threading
import zlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from agiwb.errors import ServingError
from agiwb.serving.prediction_log import (
    LogPolicy,
    PredictionLog,
    iterate_predictions,
    read_predictions,
)
from agiwb.serving.prediction_log.compaction import compact, main
from agiwb.serving.prediction_log.retention import retain
from tests.serving.prediction_log.logged_predictions import prediction, write

DAY = 86_400

KILLED = """
import os, signal, sys
from pathlib import Path
import pyarrow.parquet
from tests.serving.prediction_log.logged_predictions import prediction, write
from agiwb.serving.prediction_log.compaction import compact

DAY = 86_400
for last in range(1, 99):
    folder = Path(sys.argv[1]) / str(last)
    write(folder, prediction(1), prediction(DAY + 2), prediction(2 * DAY + 3))
    write(folder, prediction(4), prediction(DAY + 5))
    child = os.fork()
    if not child:
        told = []
        def on_step(name):
            told.append(name)
            if len(told) == last:
                print(name, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
        compact(folder / "m", on_step=on_step)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != -signal.SIGKILL:
        sys.exit(status)
"""


def times_in(folder):
    found = [entry.time for entry in iterate_predictions(folder / "m")]
    assert read_predictions(folder / "m").times.tolist() == found
    return found


def parts_of(folder):
    return sorted(folder.glob("m/day=*/part-*.parquet"))


def test_segments_become_one_part_a_day(tmp_path):
    paths = [
        write(tmp_path, prediction(DAY + 3), prediction(5), prediction(1)),
        write(tmp_path, prediction(4)),
    ]
    done = compact(tmp_path / "m")
    ids = sorted(path.stem[-12:] for path in paths)
    first, second = parts_of(tmp_path)
    assert (first.parent.name, second.parent.name) == ("day=1970-01-01", "day=1970-01-02")
    assert first.name == f"part-{'-'.join(ids)}.parquet"
    assert second.name == f"part-{paths[0].stem[-12:]}.parquet"
    assert (done.segments, done.rows, set(done.parts)) == (2, 4, {first, second})
    assert not any(path.exists() for path in paths)
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert times_in(tmp_path) == [1, 4, 5, DAY + 3]
    assert compact(tmp_path / "m").segments == 0


def test_the_columns_are_those_promised(tmp_path):
    write(tmp_path, prediction(1, rows=2), prediction(2, inputs={"x": np.array([["a"]], object)}))
    compact(tmp_path / "m")
    table = pq.read_table(parts_of(tmp_path)[0], partitioning=None)
    rows = table.to_pylist()
    assert rows[0]["input_features"] == pytest.approx([1, 1, 1.1, 1.1])
    assert rows[0]["output_probabilities"] == pytest.approx([0.2, 0.8] * 2)
    assert rows[0]["input_x"] is None
    assert rows[1]["input_features"] is None
    assert rows[1]["input_x"] == ["a"]
    assert {name: rows[0][name] for name in ("request_id", "time", "model", "version")} == {
        "request_id": "r1",
        "time": 1,
        "model": "m",
        "version": 1,
    }
    assert (rows[0]["variant"], rows[0]["signature"], rows[0]["latency_ms"]) == (
        "champion",
        "",
        0.5,
    )
    assert rows[0]["layout"] == (
        '[["input", "features", "float32", [2, 2], "input_features"], '
        '["output", "probabilities", "float32", [2, 2], "output_probabilities"]]'
    )
    assert [row["offset"] for row in rows] == sorted(row["offset"] for row in rows)


def test_a_segment_that_is_written_is_left_alone(tmp_path):
    log = PredictionLog(tmp_path)
    log.append(prediction(1))
    assert compact(tmp_path / "m").segments == 0
    log.seal()
    assert compact(tmp_path / "m").segments == 1
    log.append(prediction(2))
    assert times_in(tmp_path) == [1, 2]
    log.close()


@pytest.fixture
def memory_disk():
    """Return a folder in memory, where files are real and reaching the disk takes no time."""
    place = "/dev/shm"  # noqa: S108
    with tempfile.TemporaryDirectory(dir=place if Path(place).is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.slow
def test_a_crash_at_any_step_neither_loses_nor_doubles_a_row(memory_disk):
    run = subprocess.run(
        [sys.executable, "-c", KILLED, memory_disk],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    steps = run.stdout.splitlines()
    for last in range(1, len(steps) + 1):
        folder = memory_disk / str(last)
        assert times_in(folder) == [1, 4, DAY + 2, DAY + 5, 2 * DAY + 3]
        # Another segment ends before the compaction is run again, so that it groups otherwise.
        write(folder, prediction(6), prediction(2 * DAY + 7))
        expected = [1, 4, 6, DAY + 2, DAY + 5, 2 * DAY + 3, 2 * DAY + 7]
        assert times_in(folder) == expected
        compact(folder / "m")
        assert times_in(folder) == expected
        assert not list(folder.glob("m/seg-*"))
        assert not list(folder.glob("m/day=*/*.tmp"))
    # Three days and two segments.
    a_day = ["written", "draft on the disk", "named", "name on the disk"]
    assert steps == [*(a_day * 3), "deleted", "deleted"]


def test_two_compactions_do_not_run_at_once(tmp_path):
    write(tmp_path, prediction(1))
    inside, go_on = threading.Event(), threading.Event()

    def on_step(name):
        inside.set()
        go_on.wait(60)

    thread = threading.Thread(target=compact, args=[tmp_path / "m", None, on_step])
    thread.start()
    assert inside.wait(60)
    assert compact(tmp_path / "m").segments == 0
    go_on.set()
    thread.join()
    assert times_in(tmp_path) == [1]


def test_many_segments_become_a_few_parts(tmp_path):
    for index in range(40):
        write(tmp_path, prediction(index))
    assert len(compact(tmp_path / "m").parts) == 3
    assert times_in(tmp_path) == list(range(40))


def test_damage_is_kept_aside_and_the_rest_is_compacted(tmp_path, caplog):
    path = write(tmp_path, *map(prediction, range(3)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    compact(tmp_path / "m")
    assert times_in(tmp_path) == [0, 2]
    size = len(content) // 3
    assert f"its bytes from {size} to {2 * size - 1}" in caplog.text
    assert path.with_suffix(".damaged").read_bytes() == content


def test_a_later_format_is_left_for_a_later_version(tmp_path, caplog):
    good = write(tmp_path, prediction(1))
    path = write(tmp_path, prediction(2))
    later = bytearray(path.read_bytes())
    later[12] = 2
    later[8:12] = zlib.crc32(later[12:-4]).to_bytes(4, "little")
    path.write_bytes(later)
    assert compact(tmp_path / "m").segments == 1
    assert path.read_bytes() == later
    assert not good.exists()
    assert "format 2 is not 1" in caplog.text
    assert times_in(tmp_path) == [1]
    assert "skipped: a later version" in caplog.text


def test_a_disk_that_is_full_is_told_and_loses_nothing(tmp_path, monkeypatch):
    write(tmp_path, prediction(1))

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(ServingError, match="Nothing is lost"):
            compact(tmp_path / "m")
    assert times_in(tmp_path) == [1]
    compact(tmp_path / "m")
    assert times_in(tmp_path) == [1]


def test_it_runs_as_a_program(tmp_path, capsys):
    write(tmp_path, *(prediction(day * DAY) for day in range(3)))
    assert main([str(tmp_path / "m"), "--policy", '{"keep_days": 1}']) == 0
    assert times_in(tmp_path) == []
    assert main([str(tmp_path / "m"), "--policy", '{"keep": 1}']) == 2
    assert "keep" in capsys.readouterr().err


def test_what_is_too_old_is_deleted(tmp_path):
    write(tmp_path, *(prediction(day * DAY) for day in range(5)))
    compact(tmp_path / "m")
    retain(tmp_path / "m", LogPolicy(keep_days=2), now=4.5 * DAY)
    assert times_in(tmp_path) == [2 * DAY, 3 * DAY, 4 * DAY]
    assert not (tmp_path / "m" / "day=1970-01-01").exists()


def test_the_oldest_is_deleted_beyond_a_size_and_what_is_written_stays(tmp_path):
    write(tmp_path, *(prediction(day * DAY) for day in range(5)))
    compact(tmp_path / "m")
    log = PredictionLog(tmp_path)
    log.append(prediction(9 * DAY))
    size = sum(part.stat().st_size for part in parts_of(tmp_path)[-2:]) + 1000
    retain(tmp_path / "m", LogPolicy(keep_bytes=size), now=0)
    assert times_in(tmp_path) == [3 * DAY, 4 * DAY, 9 * DAY]
    retain(tmp_path / "m", LogPolicy(keep_bytes=1), now=0)
    assert times_in(tmp_path) == [9 * DAY]
    log.close()


def test_the_lock_is_free_after_a_compaction(tmp_path):
    write(tmp_path, prediction(1))
    compact(tmp_path / "m")
    with (tmp_path / "m" / ".compaction.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
