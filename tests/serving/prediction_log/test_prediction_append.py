from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from agiwb.errors import ConfigError, ServingError
from agiwb.serving.prediction_log import (
    LogPolicy,
    PredictionLog,
    folder_of,
    iterate_predictions,
    read_predictions,
)
from agiwb.serving.prediction_log import log as log_module
from agiwb.serving.prediction_log.compaction import compact
from tests.serving.prediction_log.logged_predictions import prediction, write

WRITER = """
import os, sys
from pathlib import Path
from tests.serving.prediction_log.logged_predictions import prediction
from agiwb.serving.prediction_log import LogPolicy, PredictionLog
log = PredictionLog(Path(sys.argv[1]), policy=LogPolicy(durability=sys.argv[2], segment_bytes=9999))
for index in range(0, 10**9, 3):
    log.append_all([prediction(index + place) for place in range(3)])
    os.write(1, b"%d\\n" % (index + 2))
"""


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a log below ``tmp_path``."""
    made = []

    def make_log(folder=tmp_path, **policy):
        made.append(PredictionLog(folder, policy=LogPolicy(**policy)))
        return made[-1]

    yield make_log
    for log in made:
        log.close()


def times_in(folder):
    return read_predictions(folder / "m").times.tolist()


def test_a_request_is_one_write_and_only_for_its_owner(tmp_path, make, monkeypatch):
    writes = []
    real = os.write
    log = make(tmp_path / "new" / "folder")
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(data) or real(fd, data))
    log.append(prediction(1, rows=500))
    log.append_all([prediction(2), prediction(3), prediction(4)])
    [path] = (tmp_path / "new" / "folder" / "m").iterdir()
    assert b"".join(writes) == path.read_bytes()
    assert len(writes) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert log.logged == {"m": 4}
    assert times_in(path.parents[1])[500:] == [2, 3, 4]


def test_nothing_is_made_before_the_first_prediction(tmp_path, make):
    make(tmp_path / "predictions").close()
    assert not (tmp_path / "predictions").exists()


def test_each_model_has_a_folder_of_its_own(tmp_path, make):
    log = make()
    names = ["m", "größe", "a/b", "..", "a%2Fb"]
    for index, name in enumerate(names):
        log.append(prediction(index, model=name))
    assert {path.name for path in tmp_path.iterdir()} == {
        "m", "größe", "a%2Fb", "%2E%2E", "a%252Fb",
    }  # fmt: skip
    for index, name in enumerate(names):
        assert read_predictions(folder_of(tmp_path, name)).times.tolist() == [index]


def test_a_segment_ends_by_size(tmp_path, make):
    log = make(segment_bytes=700)
    for moment in range(10):
        log.append(prediction(moment))
    sizes = [path.stat().st_size for path in (tmp_path / "m").glob("seg-*")]
    assert len(sizes) > 2
    assert max(sizes) <= 700
    assert times_in(tmp_path) == list(range(10))


def test_threads_do_not_mix_their_frames(tmp_path, make):
    log = make(segment_bytes=20_000)

    def work(first):
        for index in range(200):
            log.append(prediction(first + index, rows=1 + index % 7))

    threads = [threading.Thread(target=work, args=[1000 * n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [entry.time for entry in iterate_predictions(tmp_path / "m")]
    assert found == [1000 * n + index for n in range(4) for index in range(200)]
    assert log.logged.get("m", 0) == 800


def test_a_share_is_chosen_by_seed_and_request(tmp_path, make):
    entries = [prediction(index) for index in range(2000)]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        log = make(tmp_path / name, share=0.25, seed=seed)
        for entry in entries:
            log.append(entry)
    a, b, c = (times_in(tmp_path / name) for name in "abc")
    assert a == b != c
    assert 400 < len(a) < 600


def test_what_is_buffered_is_there_after_a_second_or_the_close(tmp_path, make, monkeypatch):
    monkeypatch.setattr(log_module, "_LOOK_S", 0.05)
    log = make(durability="none")
    log.append(prediction(1))
    assert times_in(tmp_path) == []
    wait_for(lambda: times_in(tmp_path) == [1])
    log.append(prediction(2))
    log.close()
    assert times_in(tmp_path) == [1, 2]


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_what_was_written_is_brought_to_the_disk(tmp_path, make, monkeypatch, durability):
    synced, flags = [], []
    real, real_open = os.fdatasync, os.open
    monkeypatch.setattr(log_module, "_LOOK_S", 0.05)
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(fd) or real(fd))
    monkeypatch.setattr(
        os, "open", lambda path, flag, *mode: flags.append(flag) or real_open(path, flag, *mode)
    )
    log = make(durability=durability)
    log.append(prediction(1))
    assert bool(flags[0] & os.O_DSYNC) == (durability == "disk")
    if durability == "process":
        wait_for(lambda: synced)
        time.sleep(0.2)
        assert len(synced) == 1  # nothing more was written


def test_an_old_segment_ends_without_a_request(tmp_path, make, monkeypatch):
    monkeypatch.setattr(log_module, "_LOOK_S", 0.05)
    log = make(segment_seconds=0.1)
    log.append(prediction(1))
    wait_for(lambda: not log._segments)


def test_nobody_waits_for_a_full_segment_to_reach_the_disk(tmp_path, make, monkeypatch):
    monkeypatch.setattr(log_module, "_LOOK_S", 0.05)
    may_sync, synced = threading.Event(), threading.Event()
    real = os.fdatasync

    def slow_sync(descriptor):
        may_sync.wait(60)
        real(descriptor)
        synced.set()

    monkeypatch.setattr(os, "fdatasync", slow_sync)
    log = make(segment_bytes=700)
    for moment in range(10):
        log.append(prediction(moment))
    assert len(list((tmp_path / "m").glob("seg-*"))) > 2
    assert not synced.is_set()
    assert compact(tmp_path / "m").rows == 0  # a segment has its writer until it is on the disk
    may_sync.set()
    wait_for(synced.is_set)
    log.seal()
    assert compact(tmp_path / "m").rows == 10


def test_segments_that_fill_faster_than_the_disk_takes_them_do_not_pile_up(tmp_path, make):
    log = make(segment_bytes=1)
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for moment in range(200):
        log.append(prediction(moment))
        assert len(list(descriptors.iterdir())) < before + 40
    assert times_in(tmp_path) == list(range(200))


def test_a_log_that_is_deleted_begins_anew(tmp_path, make, monkeypatch, caplog):
    monkeypatch.setattr(log_module, "_LOOK_S", 0.05)
    log = make()
    log.append(prediction(1))
    next((tmp_path / "m").iterdir()).unlink()
    wait_for(lambda: not log._segments and "were deleted" in caplog.text)
    log.append(prediction(2))
    assert times_in(tmp_path) == [2]


def test_what_is_buffered_outlives_the_file_it_was_for(tmp_path, make, monkeypatch):
    monkeypatch.setattr(log_module, "_LOOK_S", 0.1)
    log = make(durability="none")
    log.append(prediction(1))
    next((tmp_path / "m").iterdir()).unlink()
    wait_for(lambda: times_in(tmp_path) == [1])
    assert not log.lost


def test_a_loss_that_no_request_can_be_refused_for_is_told(small_disk, make, monkeypatch, caplog):
    monkeypatch.setattr(log_module, "_LOOK_S", 0.3)
    log = make(small_disk, durability="none", on_error="refuse")
    log.append(prediction(1))
    with pytest.raises(OSError, match="No space"), (small_disk / "ballast").open("wb") as ballast:
        ballast.write(bytes(70_000))
    wait_for(lambda: "could not be logged: No space left" in caplog.text)
    assert log.lost == {("m", "disk_full"): 1}


def test_a_folder_that_cannot_be_written_is_told(tmp_path, make):
    (tmp_path / "file").write_text("")
    with pytest.raises(ServingError, match="could not be logged"):
        make(tmp_path / "file", on_error="refuse").append(prediction(1))


def test_what_cannot_be_encoded_is_refused_or_counted(make, caplog):
    bad = prediction(1, inputs={"x": np.array([{}])})
    with pytest.raises(ServingError, match="'x' holds objects"):
        make(on_error="refuse").append(bad)
    log = make(on_error="serve")
    log.append(bad)
    assert log.lost == {("m", "encoding"): 1}
    assert "not logged any more" in caplog.text
    several = make(on_error="refuse")
    refusals = several.append_all([prediction(1), bad, prediction(2)])
    assert [refusal is None for refusal in refusals] == [True, False, True]
    assert "'x' holds objects" in str(refusals[1])
    assert several.logged == {"m": 2}


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("on_error", ["serve", "refuse"])
def test_a_full_disk_costs_what_comes_then_and_nothing_else(small_disk, make, on_error, caplog):
    log = make(small_disk, on_error=on_error)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(40_000))
    logged, refusals = [], []
    for moment in range(100):
        before = log.logged.get("m", 0)
        try:
            log.append(prediction(moment, width=300))
        except ServingError as error:
            refusals.append(str(error))
        if log.logged.get("m", 0) > before:
            logged.append(moment)
    assert 0 < len(logged) < 100
    assert log.lost == {("m", "disk_full"): 100 - len(logged)}
    assert times_in(small_disk) == logged
    assert len(refusals) == (100 - len(logged) if on_error == "refuse" else 0)
    assert all("No space left on device" in words for words in refusals)
    together = log.append_all([prediction(moment, width=9_000) for moment in range(2)])
    assert [refusal is not None for refusal in together] == [on_error == "refuse"] * 2
    assert log.lost == {("m", "disk_full"): 102 - len(logged)}
    assert times_in(small_disk) == logged
    ballast.unlink()
    log.append(prediction(100, width=300))
    assert times_in(small_disk) == [*logged, 100]
    if on_error == "serve":
        assert caplog.text.count("not logged any more: No space left") == 1
        assert caplog.text.count("logged again") == 1
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("on_error", ["serve", "refuse"])
def test_what_was_buffered_and_acknowledged_is_counted_when_it_is_lost(small_disk, make, on_error):
    log = make(small_disk, durability="none", on_error=on_error, segment_seconds=3600)
    log.append(prediction(-1))
    log.seal()
    (small_disk / "ballast").write_bytes(bytes(45_000))
    attempts = refused = 0
    while not log.lost:
        attempts += 1
        try:
            log.append(prediction(attempts, width=500))
        except ServingError:
            refused += 1
    assert attempts > 20
    (small_disk / "ballast").unlink()
    log.append(prediction(100, width=500))
    log.close()
    assert [entry.time for entry in iterate_predictions(small_disk / "m")] == [-1, 100]
    # All but the last of the attempts were acknowledged.
    assert log.logged["m"] == 1 + (attempts - 1) + 1
    assert log.lost == {("m", "disk_full"): attempts}
    assert refused == (on_error == "refuse")


@pytest.mark.parametrize("ends", ["seal", "close"])
def test_a_model_whose_disk_is_full_takes_no_other_with_it(small_disk, tmp_path, make, ends):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "full").symlink_to(small_disk)
    log = make(tmp_path / "log", durability="none", on_error="refuse")
    for model in ("full", "good"):
        log.append(prediction(1, model=model))
    (small_disk / "ballast").write_bytes(bytes(60_000))
    with pytest.raises(OSError, match="No space"), (small_disk / "more").open("wb") as more:
        more.write(bytes(9000))
    with pytest.raises(ServingError, match="No space left"):
        getattr(log, ends)()
    assert read_predictions(tmp_path / "log" / "good").times.tolist() == [1]
    assert log.lost == {("full", "disk_full"): 1}


BUFFERED_FILE = """
import resource, sys
from pathlib import Path
from tests.serving.prediction_log.logged_predictions import prediction
from agiwb.serving.prediction_log import LogPolicy, PredictionLog
from agiwb.serving.prediction_log import log as log_module
log_module._LOOK_S = 3600
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
log = PredictionLog(Path(sys.argv[1]), policy=LogPolicy(durability="none"))
for moment in range(1000):
    log.append(prediction(moment))
log.close()
assert not log.lost, log.lost
assert log.logged["m"] == 1000
"""


def test_what_was_buffered_for_a_file_that_may_not_grow_goes_to_another(tmp_path):
    run = subprocess.run([sys.executable, "-c", BUFFERED_FILE, tmp_path], check=False, timeout=60)
    assert run.returncode == 0
    assert times_in(tmp_path) == list(range(1000))


NO_DESCRIPTOR_LEFT = """
import os, resource, sys, threading, time
from pathlib import Path
from tests.serving.prediction_log.logged_predictions import prediction
from agiwb.serving.prediction_log import PredictionLog
from agiwb.serving.prediction_log import log as log_module
log_module._LOOK_S = 0.02
log = PredictionLog(Path(sys.argv[1]))
log.append(prediction(0))
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
log.append(prediction(1))
time.sleep(0.2)
for descriptor in taken:
    os.close(descriptor)
assert log._keeper.is_alive()
assert not log._segments["m"].is_dirty
"""


def test_the_log_is_kept_though_there_is_no_descriptor_left(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", NO_DESCRIPTOR_LEFT, tmp_path],
        check=False,
        timeout=60,
    )
    assert run.returncode == 0


def test_a_segment_that_fails_does_not_end_the_care_for_others(tmp_path, make, monkeypatch, caplog):
    monkeypatch.setattr(log_module, "_LOOK_S", 0.05)
    log = make(durability="none")
    for model in ("bad", "good"):
        log.append(prediction(1, model=model))
    bad = log._segments["bad"]
    bad.descriptor, whole = -1, bad.descriptor
    wait_for(lambda: "Bad file descriptor" in caplog.text)
    wait_for(lambda: read_predictions(tmp_path / "good").times.tolist() == [1])
    log.append(prediction(2, model="good"))
    wait_for(lambda: read_predictions(tmp_path / "good").times.tolist() == [1, 2])
    bad.descriptor = whole


FULL_FILE = """
import resource, sys
from pathlib import Path
from tests.serving.prediction_log.logged_predictions import prediction
from agiwb.serving.prediction_log import PredictionLog
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
log = PredictionLog(Path(sys.argv[1]))
for moment in range(100):
    log.append(prediction(moment))
assert not log.lost
"""


def test_a_file_that_may_not_grow_is_followed_by_another(tmp_path):
    run = subprocess.run([sys.executable, "-c", FULL_FILE, tmp_path], check=False, timeout=60)
    assert run.returncode == 0
    assert times_in(tmp_path) == list(range(100))


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["process", "disk"])
def test_no_acknowledged_prediction_is_lost_to_kill_9(tmp_path, durability, caplog):
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, folder, durability],
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.03 * (attempt + 1))
            child.kill()
            acknowledged = int(child.stdout.read().split(b"\n")[-2])
        times = times_in(folder)
        # Three more may have been written and not yet acknowledged.
        assert acknowledged < len(times) <= acknowledged + 4
        assert times == list(range(len(times)))
    assert "damaged" not in caplog.text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"share": 2}, "share"),
        ({"durability": "paper"}, "durability"),
        ({"redact": [{"action": "drop"}]}, "either an input or an output"),
        ({"redact": [{"action": "round", "input": "x"}]}, "either `decimals` or `step`"),
        ({"redact": [{"action": "mask", "input": "x", "step": 1}]}, "other actions neither"),
        ({"redact": [{"action": "hash", "input": "x"}]}, "needs a key"),
        (
            {
                "redact": [{"action": "mask", "input": "x", "features": ["aeg"]}],
                "feature_names": {"x": ["age", "sex"]},
            },
            "Did you mean `age`?",
        ),
        ({"keepdays": 3}, "keep_days"),
    ],
)
def test_a_policy_says_what_does_not_fit(values, words):
    with pytest.raises(ConfigError, match=words.replace("?", r"\?")):
        LogPolicy.from_mapping(values)


def test_a_policy_is_read_from_yaml(tmp_path):
    (tmp_path / "policy.yaml").write_text(
        "share: 0.5\nredact:\n- {input: features, features: [3], action: round, decimals: 1}\n"
    )
    policy = LogPolicy.from_yaml(tmp_path / "policy.yaml")
    assert (policy.share, policy.redact[0].features) == (0.5, (3,))


def test_importing_the_log_loads_nothing_heavy():
    heavy = "{'pyarrow', 'pandas', 'tensorflow', 'mlflow', 'onnxruntime'}"
    code = f"import sys, agiwb.serving.prediction_log; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_is_written_twice_to_the_same_segment(tmp_path):
    first, second = write(tmp_path, prediction(1)), write(tmp_path, prediction(2))
    assert first != second
    assert times_in(tmp_path) == [1, 2]


def wait_for(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)
