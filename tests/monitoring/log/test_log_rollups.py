"""Rollups say what the rows say, wherever the rows are, and a killed roller changes nothing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from agiwb.errors import ConfigError, NotFoundError
from agiwb.monitoring.log import read_predictions, read_rollups, roll
from agiwb.monitoring.log.cells import examples_and_requests
from agiwb.monitoring.log.profile import (
    columns_of,
    fit_profile,
    form_of,
    save_profile,
    worth_slicing,
)
from agiwb.monitoring.log.rolling import rollups_of
from agiwb.monitoring.log.tail import tables_of
from agiwb.monitoring.log.upkeep import main as keep_up
from agiwb.monitoring.sketches import NumericSketch
from agiwb.serving.prediction_log.compaction import compact
from agiwb.serving.prediction_log.places import parts_in
from tests.serving.prediction_log.logged_predictions import prediction, write

HOUR, DAY = 3600, 86_400


def columns_in(folder):
    """Return form and columns of all that is in the first part."""
    table = next(tables_of(parts_in(folder)[0]))
    examples, requests = next(examples_and_requests(table))
    return form_of(examples), columns_of(examples, requests["latency_ms"])


@pytest.fixture
def log(tmp_path):
    """A log of two days and two versions: a part each, and a segment that is in no part."""
    rng = np.random.default_rng(0)

    def some(count, start, version):
        return [
            prediction(
                start + 60.0 * index,
                version=version,
                inputs={"features": rng.normal(size=(1, 2)).astype(np.float32)},
                outputs={"probabilities": rng.dirichlet([1, 1, 1], 1).astype(np.float32)},
            )
            for index in range(count)
        ]

    write(tmp_path, *some(200, 10, 1), *some(100, DAY + 10, 2))
    compact(tmp_path / "m")
    write(tmp_path, *some(50, DAY + 5 * HOUR, 2))
    return tmp_path / "m"


def test_what_a_load_test_asked_is_in_no_figure_unless_it_is_asked_for(log):
    before = read_rollups(log).rows
    nobodys = {"outputs": {"probabilities": np.float32([[0.2, 0.3, 0.5]])}, "variant": "load_test"}
    write(log.parent, *(prediction(DAY + 1.0 * index, **nobodys) for index in range(30)))
    assert read_rollups(log).rows == before
    assert read_rollups(log, variant="load_test").rows == 30
    compact(log)
    roll(log)
    assert read_rollups(log).rows == before
    assert read_rollups(log, variant="load_test").rows == 30


def assert_as_rows(log, **asked):
    """Compare the rollups with sketches of the rows themselves."""
    found = read_rollups(log, **asked)
    start, end = asked.pop("start", -np.inf), asked.pop("end", np.inf)
    window = read_predictions(log, start, end, **asked).window()
    sketch = found.sketch()
    inputs = [place for place, name in enumerate(sketch.bins.names) if name.startswith("feature")]
    bins = type(sketch.bins)(
        tuple(sketch.bins.names[place] for place in inputs), sketch.bins.edges[inputs]
    )
    expected = NumericSketch.of(bins, window.features)
    np.testing.assert_array_equal(sketch.counts[inputs], expected.counts)
    np.testing.assert_allclose(sketch.sums[inputs], expected.sums, atol=1e-4)
    assert found.rows == len(window)
    classes = np.bincount(window.probabilities.argmax(axis=1), minlength=3)
    assert found.categories("predicted").counts.tolist() == classes.tolist()


def test_rollups_are_what_the_rows_add_up_to(log):
    assert_as_rows(log)
    assert roll(log).parts == 2
    assert roll(log).parts == 0
    assert_as_rows(log)
    assert_as_rows(log, version=1)
    assert_as_rows(log, version=2, start=DAY, end=DAY + HOUR - 1)
    assert read_rollups(log, live=False).rows == 300
    assert read_rollups(log).rows == 350
    assert read_rollups(log, DAY + 5 * HOUR).rows == 50
    assert read_rollups(log, version=3).rows == 0


@pytest.mark.parametrize(
    ("start", "end"),
    [(-np.inf, np.inf), (10, DAY + 2 * HOUR), (DAY, 2 * DAY - 1), (HOUR, 2 * HOUR), (5, DAY - 1)],
)
def test_whole_days_are_the_sum_of_their_hours(log, start, end):
    roll(log)
    hours, days = (read_rollups(log, start, end, by=by) for by in ("hour", "day"))
    assert days.totals() == hours.totals()
    np.testing.assert_array_equal(days.sketch().counts, hours.sketch().counts)
    np.testing.assert_allclose(days.sketch().sums, hours.sketch().sums, atol=1e-9)
    assert (days.categories("predicted").counts == hours.categories("predicted").counts).all()
    assert len(days.cells) <= len(hours.cells)
    assert "counts" not in read_rollups(log, start, end, figures=()).cells.column_names


def test_hours_and_features_are_told_apart(log):
    roll(log)
    found = read_rollups(log, version=1)
    assert found.hours.tolist() == [0, HOUR, 2 * HOUR, 3 * HOUR]
    assert [hour.rows for hour in found.by_hour().values()] == [60, 60, 60, 20]
    assert found.histogram().sum(axis=1).tolist() == [60, 60, 60, 20]
    scores = read_rollups(log, version=1, features=["score"])
    np.testing.assert_array_equal(scores.histogram(), found.histogram())
    assert set(scores.totals()) == {"score"}
    assert scores.sketch().bins.names == ("score",)
    with pytest.raises(NotFoundError, match=r"no feature 'predict' .* `predicted`"):
        found.categories("predict")


def test_missing_values_ranges_and_unseen_categories_are_counted(tmp_path):
    def asked(moment, value, colour):
        inputs = {"x": np.float32([[value]]), "colour": np.array([[colour]], object)}
        return prediction(moment, inputs=inputs)

    folder = tmp_path / "m"
    write(tmp_path, *(asked(index, index, "red" if index % 2 else "blue") for index in range(10)))
    compact(folder)
    form, columns = columns_in(folder)
    save_profile(rollups_of(folder), fit_profile(form, columns, slices=["colour"]))
    roll(folder)
    write(tmp_path, asked(50, np.nan, "red"), asked(51, -5, "green"), asked(52, 99, ""))
    for _ in range(2):  # from the segment, then from Parquet
        found = read_rollups(folder)
        totals = found.totals()
        assert totals["x"] == {"rows": 13, "missing": 1, "below": 1, "above": 1, "unseen": 0}
        assert totals["colour"] == {"rows": 13, "missing": 1, "below": 0, "above": 0, "unseen": 1}
        assert found.categories("colour").counts.tolist() == [5, 6]
        assert found.categories("colour").examples == ("green",)
        red = read_rollups(folder, slice_name="colour=red")
        assert (red.rows, red.totals()["x"]["missing"]) == (6, 1)
        compact(folder)
        roll(folder)
    with pytest.raises(ConfigError, match="Did you mean `colour`"):
        fit_profile(form, columns, slices=["color"])
    with pytest.raises(ConfigError, match="cannot be sliced by"):
        fit_profile(form, columns, slices=["x"])


def test_a_new_profile_is_rolled_up_from_the_rows_that_are_there(log):
    roll(log)
    form, columns = columns_in(log)
    columns["feature[0]"] = columns["feature[0]"] + 10
    save_profile(rollups_of(log), fit_profile(form, columns))
    assert read_rollups(log).totals()["feature[0]"]["below"] == 350
    assert roll(log).parts == 2
    assert read_rollups(log, live=False).totals()["feature[0]"]["below"] == 300


def test_requests_of_another_form_have_a_profile_of_their_own(tmp_path):
    write(tmp_path, *(prediction(index) for index in range(5)))
    compact(tmp_path / "m")
    roll(tmp_path / "m")
    write(tmp_path, *(prediction(10 + index, width=3, version=2) for index in range(4)))
    compact(tmp_path / "m")
    roll(tmp_path / "m")
    found = read_rollups(tmp_path / "m")
    assert found.rows == 4
    assert "feature[2]" in found.totals()
    roll(tmp_path / "m")
    assert read_rollups(tmp_path / "m", live=False).rows == 4


def test_many_parts_of_a_day_become_one_shard(tmp_path):
    for index in range(12):
        write(tmp_path, *(prediction(index + step / 10, rows=2) for step in range(5)))
        compact(tmp_path / "m")
        roll(tmp_path / "m")
    shards = list((tmp_path / "m" / "rollups").glob("*/day=*/*.parquet"))
    assert len(shards) <= 8
    assert read_rollups(tmp_path / "m", live=False).rows == 120
    assert read_rollups(tmp_path / "m").sketch().rows.tolist() == [120] * 4
    assert roll(tmp_path / "m").parts == 0


def test_rollups_outlive_the_rows(log):
    assert keep_up([str(log), "--policy", '{"keep_days": 1}']) == 0
    assert len(read_predictions(log)) == 0
    assert read_rollups(log).rows == 350
    assert keep_up([str(log), "--policy", '{"keep": 1}']) == 2


def test_nothing_logged_says_what_to_do(tmp_path):
    assert roll(tmp_path / "m").parts == 0
    with pytest.raises(NotFoundError, match="agiwb serve"):
        read_rollups(tmp_path / "m")


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import pyarrow.parquet
from tests.serving.prediction_log.logged_predictions import prediction, write
from agiwb.monitoring.log import rolling
from agiwb.monitoring.log.rolling import roll
from agiwb.serving.prediction_log.compaction import compact

rolling._MOST_SHARDS_A_DAY = 2  # three parts a day are enough to see them merged
first = Path(sys.argv[1]) / "0"
for turn in range(3):
    write(first, prediction(turn), prediction(86_400 + turn))
    compact(first / "m")
for last in range(1, 99):
    folder = shutil.copytree(first, first.with_name(str(last)))
    child = os.fork()
    if not child:
        told = []
        def on_step(name):
            told.append(name)
            if len(told) == last * 3:
                print(name, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
        roll(folder / "m", on_step=on_step)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != -signal.SIGKILL:
        sys.exit(status)
"""


@pytest.mark.slow
def test_a_killed_roller_neither_loses_nor_doubles_a_row(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    steps = run.stdout.splitlines()
    assert {"draft on the disk", "named", "deleted"} <= set(steps)
    for last in range(1, len(steps) + 1):
        folder = tmp_path / str(last) / "m"
        assert read_rollups(folder).rows == 6
        roll(folder)
        assert read_rollups(folder, live=False).rows == 6
        assert not list(folder.glob("rollups/**/*.tmp"))


def test_columns_of_few_texts_are_sliced_by():
    many = np.array([f"text {place}" for place in range(60)], object)
    few = {f"c{place}": np.array(["red", "", None] * 20, object) for place in range(4)}
    columns = {"text": many, "price": np.arange(60.0), **few}
    assert worth_slicing(columns) == ("c0", "c1", "c2")
