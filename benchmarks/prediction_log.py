"""The prediction log: what an append costs, and what kill -9 loses.

Run it with ``python benchmarks/prediction_log.py``; it takes about half a minute. Our append is
measured in turns with a bare write of the same bytes, which nothing that survives kill -9 can beat,
and with the lines of JSON that servers write instead, by the standard library and by orjson. Those
have no checksum, no lock, no limit of size, and are not looked after.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson

from agiwb.serving.prediction_log import LogPolicy, Prediction, PredictionLog, read_predictions
from agiwb.serving.prediction_log.compaction import compact
from agiwb.serving.prediction_log.frame import encode_frame

# Short turns: most of them fit between two of the scheduler's.
ROUNDS, ROWS_A_ROUND = 1000, 40
FEATURES, CLASSES = 64, 10
CHILDREN = 20
REQUEST_US = 200.0
"""One request of the server, measured by benchmarks/serving.py."""
LARGEST_SHARE = 0.05

WRITER = """
import os, sys
from pathlib import Path
import numpy as np
from agiwb.serving.prediction_log import Prediction, PredictionLog
log = PredictionLog(Path(sys.argv[1]))
x, y = np.ones((1, 64), np.float32), np.ones((1, 10), np.float32)
for index in range(10**9):
    log.append(Prediction(request_id=str(index), time=float(index), model="m", version=1,
                          inputs={"features": x}, outputs={"probabilities": y}, latency_ms=0.2))
    os.write(1, b"%d\\n" % index)
"""


def main() -> int:
    """Print what was measured, then one line of JSON; return 0 if every claim holds."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        costs = measure(folder)
        for name, microseconds in costs.items():
            print(f"{name:<26} {microseconds:7.2f} us a row")
        time_reading(folder / "process" / "m")
        lost, acknowledged = kill_writers(folder / "killed")
    print(f"kill -9: {lost} of {acknowledged} acknowledged rows lost, {CHILDREN} processes")
    ours = costs["agiwb"]
    claims = [
        at_most("append, us a row", ours, REQUEST_US * LARGEST_SHARE),
        at_most("append relative to a bare write", ours / costs["bare write"], 8),
        at_least("JSON lines by json relative to append", costs["JSON line, json"] / ours, 2),
        at_most("acknowledged rows lost to kill -9", lost, 0),
    ]
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()}
    print(json.dumps({"claims": claims, "machine": machine}))
    return 0 if all(claim["holds"] for claim in claims) else 1


def measure(folder: Path) -> dict[str, float]:
    """Return the median microseconds of a row by each way of writing it."""
    rng = np.random.default_rng(0)
    entry = Prediction(
        request_id="0f3a9c1e77aa-123456",
        time=time.time(),
        model="m",
        version=1,
        inputs={"features": rng.normal(size=(1, FEATURES)).astype(np.float32)},
        outputs={"probabilities": rng.random((1, CLASSES), np.float32)},
        latency_ms=0.2,
    )
    frame = encode_frame(entry)
    logs = {
        name: PredictionLog(folder / name, policy=LogPolicy(durability=name, segment_bytes=1 << 29))
        for name in ("process", "none")
    }
    bare, lines = (
        os.open(folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT) for name in ("bare", "lines")
    )
    fields = {name: getattr(entry, name) for name in Prediction.__slots__}

    def write_line() -> None:
        os.write(lines, orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")

    def write_plain_line() -> None:
        os.write(lines, json.dumps(fields, default=np.ndarray.tolist).encode() + b"\n")

    ways: dict[str, Callable[[], object]] = {
        "bare write": lambda: os.write(bare, frame),
        "encoding alone": lambda: encode_frame(entry),
        "agiwb": lambda: logs["process"].append(entry),
        "agiwb, buffered": lambda: logs["none"].append(entry),
        "JSON line, orjson": write_line,
        "JSON line, json": write_plain_line,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, write in ways.items():
            start = time.perf_counter()
            for _ in range(ROWS_A_ROUND):
                write()
            seconds[name].append(time.perf_counter() - start)
    for log in logs.values():
        log.close()
    os.close(bare)
    os.close(lines)
    return {name: statistics.median(its) / ROWS_A_ROUND * 1e6 for name, its in seconds.items()}


def time_reading(folder: Path) -> None:
    """Print how long reading and compaction take."""
    rows = ROUNDS * ROWS_A_ROUND
    for name, work in (
        ("last 1,000 rows, segment", lambda: read_predictions(folder, 1000)),
        ("all rows, segment", lambda: read_predictions(folder)),
        ("compaction", lambda: compact(folder)),
        ("last 1,000 rows, Parquet", lambda: read_predictions(folder, 1000)),
        ("all rows, Parquet", lambda: read_predictions(folder)),
    ):
        start = time.perf_counter()
        work()
        print(f"{name:<26} {1000 * (time.perf_counter() - start):7.1f} ms, {rows} rows logged")


def kill_writers(folder: Path) -> tuple[int, int]:
    """Kill processes while they log; return how many acknowledged rows are missing, and of all."""
    lost = total = 0
    for child in range(CHILDREN):
        place = folder / str(child)
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, place], stdout=subprocess.PIPE
        ) as process:
            if process.stdout is None:
                raise RuntimeError("the child has no stdout")
            process.stdout.readline()
            time.sleep(0.005 * child)
            process.kill()
            acknowledged = 1 + int((b"0\n" + process.stdout.read()).split(b"\n")[-2])
        found = set(read_predictions(place / "m").times.astype(int).tolist())
        lost += len(set(range(acknowledged)) - found)
        total += acknowledged
    return lost, total


def at_least(name: str, value: float, bar: float) -> dict[str, object]:
    """Return a claim that holds if ``value`` reaches ``bar``."""
    return {"name": name, "value": round(value, 4), "bar": bar, "holds": value >= bar}


def at_most(name: str, value: float, bar: float) -> dict[str, object]:
    """Return a claim that holds if ``value`` does not exceed ``bar``."""
    return {"name": name, "value": round(value, 4), "bar": bar, "holds": value <= bar}


if __name__ == "__main__":
    sys.exit(main())
