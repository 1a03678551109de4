"""Rollups: what a page asks of a log of ten million rows, and what kill -9 loses.

Run it with ``python benchmarks/rollups.py [ROWS]``; it needs 2 GB of disk and some minutes. The log
has 16 features, two versions and thirty days; its rows are written as compaction writes them, and
rolled up by ``roll``. Then processes that compact, and processes that roll up, are killed at
random moments, a hundred of each.
"""

from __future__ import annotations

import json
import os
import platform
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from agiwb.monitoring.dashboard import Asked, read_dashboard
from agiwb.monitoring.log import prediction_folder, read_predictions, read_rollups, roll
from agiwb.serving.prediction_log import LogPolicy, Prediction, PredictionLog
from agiwb.serving.prediction_log.columns import Columns, LoggedRow
from agiwb.serving.prediction_log.compaction import compact
from agiwb.serving.prediction_log.places import day_of, part_name

ROWS, DAYS, FEATURES, CLASSES = 10_000_000, 30, 16, 2
NAME = "m"
DAY_S, HOUR_S = 86_400, 3600
FIRST = 20_000 * DAY_S
"""The first day's beginning, Unix time in seconds."""
ROWS_A_GROUP = 8192
ROUNDS = 5
SLOWEST_S = 0.5
KILLS, ROWS_A_TURN = 100, 300


def main() -> int:
    """Print what was measured, then one line of JSON; return 0 if every claim holds."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["AGIWB_WORKSPACE"] = scratch
        folder = prediction_folder(NAME)
        made_s = timed(lambda: generate(folder, rows))
        rolled_s = timed(lambda: roll(folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size, small = size_of(folder, "day=*"), size_of(folder, "rollups/*/day=*")
        print(f"{rows:,} rows made in {made_s:.1f} s, {size:.0f} MB of Parquet")
        print(f"rolled up in {rolled_s:.1f} s, {small:.0f} MB, at most {peak:.0f} MB of memory")
        whole = read_rollups(folder)
        lost_in_rollups = abs(whole.rows - rows)
        wrong = compare(folder)
        times = measure(folder)
    for name, seconds in times.items():
        print(f"{name:<44} {seconds * 1000:7.1f} ms")
    with tempfile.TemporaryDirectory() as scratch:
        killed = {work.__name__: kill(work, Path(scratch)) for work in (compact, roll)}
    for name, (wrongs, hits) in killed.items():
        print(f"kill -9: {hits} of {KILLS} hit {name} at work, {wrongs} times a row was missing")
    claims = [at_most(f"{name}, seconds", seconds, SLOWEST_S) for name, seconds in times.items()]
    claims.append(at_most("rows lost or doubled by rolling up", lost_in_rollups, 0))
    claims.append(at_most("values in other bins than the rows say", wrong, 0))
    for name, (wrongs, _) in killed.items():
        claims.append(at_most(f"kill -9 of {name}: times rows were lost or doubled", wrongs, 0))
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()}
    print(json.dumps({"claims": claims, "machine": machine}))
    return 0 if all(claim["holds"] for claim in claims) else 1


def generate(folder: Path, rows: int) -> None:
    """Write a part a day with the columns that compaction writes."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    # One row as the server logs it says what the columns are.
    columns, example = Columns(), entry(0, FIRST, 1, rng.normal(size=FEATURES))
    columns.add(example)
    one = columns.batch([LoggedRow("0" * 12, 0, example)]).to_pydict()
    each = rows // DAYS
    for day in range(DAYS):
        count = each if day < DAYS - 1 else rows - each * (DAYS - 1)
        times = np.sort(rng.random(count)) * DAY_S + FIRST + day * DAY_S
        features = rng.standard_normal((count, FEATURES), np.float32) + np.float32(day / 100)
        scores = rng.random(count, np.float32)
        segment = f"{day + 1:012x}"
        content = {name: pa.repeat(pa.scalar(one[name][0]), count) for name in one}
        content |= {
            "request_id": pc.cast(pa.array(np.arange(count) + day * each), pa.string()),
            "time": pa.array(times),
            "version": pa.array(1 + (rng.random(count) < 0.3).astype(np.int64)),
            "latency_ms": pa.array(rng.gamma(2, 0.5, count)),
            "segment": pa.repeat(pa.scalar(segment), count),
            "offset": pa.array(np.arange(count)),
            "input_features": lists(features),
            "output_probabilities": lists(np.column_stack([1 - scores, scores])),
        }
        table = pa.table({name: content[name] for name in one}).cast(columns.schema)
        part = folder / f"day={day_of(FIRST + day * DAY_S)}" / part_name([segment])
        part.parent.mkdir(parents=True)
        pq.write_table(table, part, compression="zstd", row_group_size=ROWS_A_GROUP)


def measure(folder: Path) -> dict[str, float]:
    """Return the seconds of what pages ask, the fastest of some rounds, figures included.

    The report on traffic asks for everything it shows at once.
    """
    last = FIRST + DAYS * DAY_S
    asked: dict[str, Callable[[], Any]] = {
        "everything: all features, 30 days": lambda: read_rollups(folder, by="day").sketch(),
        "one version, all features, 30 days": lambda: read_rollups(
            folder, version=2, by="day"
        ).sketch(),
        "one feature by the hour, 30 days": lambda: read_rollups(
            folder, features=["feature[3]"], figures=["counts"]
        ).histogram("feature[3]"),
        "scores by the hour, one version, 30 days": lambda: read_rollups(
            folder, version=1, features=["score"], figures=["counts"]
        ).histogram(),
        "all features, the last 24 hours": lambda: read_rollups(
            folder, last - DAY_S, last
        ).sketch(),
        "one feature, one version, six hours": lambda: read_rollups(
            folder, last - 9 * HOUR_S, last - 3 * HOUR_S, version=2, features=["feature[0]"]
        ).sketch(),
        "totals (missing, range, unseen), 30 days": lambda: read_rollups(
            folder, by="day", figures=()
        ).totals(),
        "totals of each hour, 30 days": lambda: read_rollups(folder, figures=()).totals(),
    }
    stretches = {"30 days": FIRST, "7 days": last - 7 * DAY_S, "24 hours": last - DAY_S}
    for stretch, start in stretches.items():
        for version in (None, 2):
            named = "both versions" if version is None else f"version {version}"
            asked[f"the whole report, {stretch}, {named}"] = partial(
                read_dashboard, NAME, Asked(start, last, version)
            )
    return {name: min(timed(ask) for _ in range(ROUNDS)) for name, ask in asked.items()}


def compare(folder: Path) -> int:
    """Return how many values of six hours are in other bins by the rollups than by the rows."""
    start = FIRST + 3 * DAY_S + 5 * HOUR_S
    end = start + 6 * HOUR_S
    rolled = read_rollups(folder, start, end - 1, version=2)
    window = read_predictions(folder, start, np.nextafter(end, 0), version=2).window()
    bins = rolled.profile.bins
    counts = rolled.sketch().counts
    wrong = 0
    for place in range(FEATURES):
        ends = np.concatenate((bins.edges[place], [np.inf]))
        expected = np.bincount(
            np.searchsorted(ends, window.features[:, place], side="left"), minlength=len(ends)
        )
        wrong += int(np.abs(expected - counts[place]).sum())
    return wrong


def kill(work: Callable[[Path], Any], scratch: Path) -> tuple[int, int]:
    """Return after how many kills a row was missing or there twice, and how many hit the work.

    Args:
        work: What is killed: ``compact`` or ``roll``.
        scratch: An empty folder, or one where others were killed.
    """
    folder = scratch / work.__name__ / "m"
    chance = random.Random(0)  # noqa: S311
    expected = wrong = hits = 0
    longest = 0.1
    for turn in range(-1, KILLS + 1):
        log = PredictionLog(folder.parent, policy=LogPolicy())
        for index in range(ROWS_A_TURN):
            moment = FIRST + index % 3 * DAY_S + turn + 1
            log.append(entry(expected + index, moment, 1, np.full(FEATURES, index)))
        log.close()
        expected += ROWS_A_TURN
        if work is roll:
            compact(folder)
        started = time.perf_counter()
        child = os.fork()
        if not child:
            work(folder)
            os._exit(0)
        if turn > 0:  # those before are timed, the second with all imported
            time.sleep(chance.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        hits += status == -signal.SIGKILL
        if turn <= 0:
            longest = 1.2 * (time.perf_counter() - started)
        ids = read_predictions(folder).request_ids
        seen = len(ids) == len(set(ids.tolist())) == expected
        wrong += not (seen and read_rollups(folder).rows == expected)
    compact(folder)
    roll(folder)
    wrong += read_rollups(folder, live=False).rows != expected
    return wrong, hits


def entry(index: int, moment: float, version: int, features: Any) -> Prediction:
    """Return one prediction."""
    return Prediction(
        request_id=str(index),
        time=float(moment),
        model="m",
        version=version,
        inputs={"features": np.asarray(features, np.float32)[None]},
        outputs={"probabilities": np.float32([[0.3, 0.7]])},
        latency_ms=1.0,
    )


def lists(matrix: Any) -> Any:
    """Return the rows of a matrix as an array of lists."""
    import pyarrow as pa

    starts = np.arange(0, matrix.size + 1, matrix.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(starts, np.ascontiguousarray(matrix).ravel())


def size_of(folder: Path, pattern: str) -> float:
    """Return the megabytes of the Parquet files in the folders that fit."""
    files = (file for found in folder.glob(pattern) for file in found.glob("*.parquet"))
    return sum(file.stat().st_size for file in files) / 1e6


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def at_most(name: str, value: float, bar: float) -> dict[str, object]:
    """Return a claim that holds if ``value`` does not exceed ``bar``."""
    return {"name": name, "value": round(value, 4), "bar": bar, "holds": value <= bar}


if __name__ == "__main__":
    sys.exit(main())
