"""The logs of several servers in a real S3-compatible server, asked as one folder would be."""

from __future__ import annotations

import math
import shutil
import time

import numpy as np
import pytest

from agiwb.errors import WorkspaceError
from agiwb.monitoring.dashboard import Asked, read_dashboard, what_is_offered
from agiwb.monitoring.log import (
    add_labels,
    join_labels,
    logged_models,
    prediction_folder,
    read_latencies,
    read_predictions,
    read_rollups,
    roll,
)
from agiwb.monitoring.log.predictions import attempts
from agiwb.monitoring.log.upkeep import keep_up
from agiwb.monitoring.log.upkeep import main as upkeep
from agiwb.serving.prediction_log import LogPolicy, find_prediction, iterate_predictions
from agiwb.serving.prediction_log.compaction import compact
from tests.object_storage import SECRET_KEY, running_server, use_bucket
from tests.serving.prediction_log.logged_predictions import prediction, write

pytestmark = pytest.mark.slow

HOUR, DAY = 3600, 86_400
NOTHING = LogPolicy()


@pytest.fixture(scope="module")
def server():
    with running_server() as running:
        yield running


@pytest.fixture
def bucket(server, monkeypatch):
    return use_bucket(server, monkeypatch)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Go to a machine with a workspace of its own; return its log of the model m."""

    def go(name):
        monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / name))
        return prediction_folder("m")

    return go


def some(seed, count, start, version=1):
    rng = np.random.default_rng(seed)
    return [
        prediction(
            start + 60.0 * index + seed / 10,
            version=version,
            request_id=f"{seed}-{version}-{index}",
            inputs={"features": rng.normal(size=(1, 2)).astype(np.float32)},
            outputs={"probabilities": rng.dirichlet([1, 1, 1], 1).astype(np.float32)},
        )
        for index in range(count)
    ]


def log_some(folder, alone, *rows):
    """Log rows on a machine, and also in the log that one server would have written."""
    segment = write(folder.parent, *rows)
    alone.mkdir(exist_ok=True)
    shutil.copy2(segment, alone)


def assert_same_rows(folder, alone):
    """Compare what a machine is told with what the log of one server says."""
    found, expected = (read_predictions(one).table for one in (folder, alone))
    assert found.select(expected.column_names).equals(expected)
    assert read_predictions(folder, DAY, version=2, last_requests=7).request_ids.tolist() == (
        read_predictions(alone, DAY, version=2, last_requests=7).request_ids.tolist()
    )


def assert_same_rollups(folder, alone, **asked):
    found = read_rollups(folder, **asked)
    expected = read_rollups(alone, **asked, profile=found.profile)
    assert found.rows == expected.rows
    assert found.totals() == expected.totals()
    assert found.hours.tolist() == expected.hours.tolist()
    np.testing.assert_array_equal(found.sketch().counts, expected.sketch().counts)
    np.testing.assert_array_equal(found.histogram(), expected.histogram())


@pytest.fixture
def alone(tmp_path):
    """The log of one server that was asked all that others were; of another name, and unshared."""
    return tmp_path / "alone"


def test_two_servers_are_asked_elsewhere_as_one(bucket, machine, alone):
    for seed, name in enumerate(("first", "second")):
        log_some(machine(name), alone, *some(seed, 150, 10), *some(seed, 80, DAY + 10, 2))
        log_some(machine(name), alone, *some(seed, 20, DAY + 5 * HOUR, 2))
        assert upkeep([str(machine(name))]) == 0
    assert len([key for key in bucket.all_keys() if key.endswith("profile.json")]) == 1
    for name in ("elsewhere", "first"):
        folder = machine(name)
        assert logged_models() == ["m"]
        for _ in range(2):  # from segments, then from Parquet
            assert_same_rows(folder, alone)
            assert_same_rollups(folder, alone)
            assert_same_rollups(folder, alone, start=DAY, end=DAY + HOUR - 1, version=2)
            assert_same_rollups(folder, alone, by="day")
            compact(alone)
        roll(alone)
        assert_same_rollups(folder, alone)
        assert read_latencies(folder, DAY).tolist() == read_latencies(alone, DAY).tolist()
        found = find_prediction(folder, "1-2-3")
        assert found is not None
        assert found.version == 2
        replayed = [one.request_id for one in iterate_predictions(folder)]
        assert replayed == [one.request_id for one in iterate_predictions(alone)]
    assert not (machine("elsewhere")).exists()


def test_the_dashboard_says_elsewhere_what_it_says_at_the_server(bucket, machine):
    log = machine("server")
    write(log.parent, *some(0, 300, 10), *some(1, 200, DAY + 10, 2))
    assert upkeep([str(log)]) == 0
    seen = {}
    for name in ("server", "elsewhere"):
        machine(name)
        offered = what_is_offered("m")
        board = read_dashboard("m", Asked(start=DAY, end=2 * DAY))
        seen[name] = (
            offered,
            [repr(value) for value in vars(board).values()],
        )
    assert seen["server"] == seen["elsewhere"]


def test_merged_rollups_count_once_whenever_they_are_shared(bucket, machine, alone, monkeypatch):
    log_some(machine("second"), alone, *some(99, 5, 30))
    keep_up(machine("second"), NOTHING)
    for turn in range(22):
        log_some(machine("first"), alone, *some(turn, 5, 600 * turn))
        if 4 < turn < 21:  # merged, and merged again, before it is shared
            monkeypatch.delenv("AGIWB_ARTIFACTS")
        keep_up(machine("first"), NOTHING)
        monkeypatch.setenv("AGIWB_ARTIFACTS", bucket.url)
        if turn in {0, 4, 21}:
            assert_same_rollups(machine("elsewhere"), alone)
    shards = [key for key in bucket.all_keys() if "/rollups/" in key and key.endswith("parquet")]
    keep_up(machine("first"), NOTHING)
    left = [key for key in bucket.all_keys() if "/rollups/" in key and key.endswith("parquet")]
    assert len(left) < len(shards)  # what was replaced is gone
    assert_same_rollups(machine("elsewhere"), alone)
    assert read_rollups(machine("elsewhere"), live=False).rows == 23 * 5
    before = {key: bucket.modified(key) for key in bucket.all_keys()}
    keep_up(machine("first"), NOTHING)
    assert {key: bucket.modified(key) for key in bucket.all_keys()} == before


def test_profiles_made_at_the_same_moment_become_one(bucket, machine, alone, monkeypatch):
    monkeypatch.delenv("AGIWB_ARTIFACTS")
    for seed, name in enumerate(("first", "second")):
        log_some(machine(name), alone, *some(seed, 50, 10))
        keep_up(machine(name), NOTHING)
    monkeypatch.setenv("AGIWB_ARTIFACTS", bucket.url)
    for shared, name in enumerate(("first", "second", "first")):
        keep_up(machine(name), NOTHING)
        assert read_rollups(machine("elsewhere")).rows == (100 if shared else 50)
    assert read_rollups(machine("elsewhere"), live=False).rows == 100
    assert_same_rollups(machine("elsewhere"), alone)


def test_a_store_that_is_away_loses_nothing_of_a_log(server, bucket, machine, capsys):
    log = machine("server")
    write(log.parent, *some(0, 50, 10))
    server.stop()
    try:
        assert upkeep([str(log)]) == 2
        said = capsys.readouterr().err
        assert "The object store s3://" in said
        assert "Could not connect" in said
        assert SECRET_KEY not in said
    finally:
        server.start()
    bucket.client.create_bucket(Bucket=bucket.name)  # moto forgets
    assert upkeep([str(log)]) == 0
    assert read_rollups(machine("elsewhere")).rows == 50


def test_labels_added_elsewhere_are_known_at_the_server(bucket, machine, tmp_path):
    log = machine("server")
    write(log.parent, *some(0, 20, 10))
    assert upkeep([str(log)]) == 0
    file = tmp_path / "labels.csv"
    file.write_text("request_id,label\n0-1-3,2\n0-1-4,1\n")
    added = add_labels(machine("elsewhere"), file)
    assert (added.labels, added.without_request) == (2, 0)
    for name in ("server", "third"):
        joined = join_labels(machine(name))
        assert joined.request_ids.tolist() == ["0-1-3", "0-1-4"]
        assert joined.labels.tolist() == ["2", "1"]
    file.write_text("request_id,label\n0-1-3,0\n")
    assert add_labels(machine("third"), file).corrections == 1
    assert join_labels(machine("server")).labels.tolist() == ["0", "1"]


def test_what_is_too_old_is_deleted_in_the_store_as_well(bucket, machine):
    log = machine("server")
    now = time.time()
    write(log.parent, *some(0, 5, now - 10 * DAY), *some(1, 5, now - HOUR))
    keep_up(log, LogPolicy(keep_bytes=1))
    assert read_predictions(log).request_ids.tolist().count("0-1-0") == 1
    keep_up(log, LogPolicy(keep_days=5))
    found = read_predictions(machine("elsewhere")).request_ids.tolist()
    assert found == [f"1-1-{index}" for index in range(5)]


def test_a_part_that_is_deleted_while_it_is_asked_is_asked_no_more(server, bucket, machine):
    log = machine("server")
    noise = np.random.default_rng(0).normal(size=(1, 500_000)).astype(np.float32)
    large = prediction(10, inputs={"features": noise})
    write(log.parent, large, *some(1, 5, DAY))
    keep_up(log, NOTHING)
    folder = machine("elsewhere")
    part = next(key for key in bucket.all_keys() if "m/day=1970-01-01/" in key)
    tries = 0
    for attempt in attempts(folder, -math.inf, math.inf):
        tries += 1
        with attempt as connection:
            if tries == 1:
                bucket.client.delete_object(Bucket=bucket.name, Key=f"team/{part}")
            found = connection.sql("SELECT * FROM predictions").to_arrow_table()
            break
    assert (tries, len(found)) == (2, 5)
    server.stop()
    try:
        with pytest.raises(WorkspaceError, match=r"object store s3://.* cannot be used"):
            read_predictions(folder)
    finally:
        server.start()
