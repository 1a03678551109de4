"""The prediction log: what an append costs, and what kill -9 loses.

Run it with ``python benchmarks/prediction_log.py``; it takes about four minutes. Our append is
measured in turns with a bare write of the same bytes, which nothing that survives kill -9 can beat,
and with the lines of JSON that servers write instead, by the standard library and by orjson. Those
have no checksum, no lock, no limit of size, and are not looked after. Then a server is killed under
load, a hundred times, and started anew on the same log: it compacts what its predecessor left, and
of what was answered nothing may be missing, nor be there twice.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import orjson
import pyarrow.parquet as pq
from serving_load.models import write_mlp

from agiwb.serving.launch import start_server, stop_server
from agiwb.serving.prediction_log import LogPolicy, Prediction, PredictionLog, read_predictions
from agiwb.serving.prediction_log.compaction import compact
from agiwb.serving.prediction_log.frame import encode_frame
from agiwb.serving.prediction_log.places import parts_in, segments_in

# Short turns: most of them fit between two of the scheduler's.
ROUNDS, ROWS_A_ROUND = 1000, 40
FEATURES, CLASSES = 64, 10  # as those of the model
KILLS, CLIENTS, LONGEST_LIFE_S = 100, 4, 0.4
LOOK_S = 0.1
REQUEST_US = 200.0
"""One request of the server, measured by benchmarks/serving.py."""
LARGEST_SHARE = 0.05


def main() -> int:
    """Print what was measured, then one line of JSON; return 0 if every claim holds."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        costs = measure(folder)
        for name, microseconds in costs.items():
            print(f"{name:<26} {microseconds:7.2f} us a row")
        time_reading(folder / "process" / "m")
        lost, doubled, answered = kill_servers(folder / "killed")
    print(
        f"kill -9: of {answered} requests that {KILLS} servers answered, {lost} are missing in the "
        f"log and {doubled} are there twice"
    )
    ours = costs["agiwb"]
    claims = [
        at_most("append, us a row", ours, REQUEST_US * LARGEST_SHARE),
        at_most("append relative to a bare write", ours / costs["bare write"], 8),
        at_least("JSON lines by json relative to append", costs["JSON line, json"] / ours, 2),
        at_most("answered requests lost to kill -9", lost, 0),
        at_most("requests logged twice", doubled, 0),
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
    fields = entry._asdict()

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


def kill_servers(folder: Path) -> tuple[int, int, int]:
    """Kill servers under load; return how many answers are lost, logged twice, and given."""
    model, log = write_mlp(folder / "m" / "1"), folder / "log"
    answered: list[str] = []
    moments = np.random.default_rng(0)
    for number in range(KILLS):
        flags = ["--model_base_path", str(model.parent.parent), "--model_name", "m", "--no-grpc"]
        flags += ["--rest_api_port", "0", "--log-folder", str(log)]
        process, ready = start_server(flags, folder / "server.log")
        with ThreadPoolExecutor(CLIENTS) as clients:
            asking = [
                clients.submit(ask_until_killed, ready.address, f"{number}-{client}")
                for client in range(CLIENTS)
            ]
            time.sleep(moments.uniform(0, LONGEST_LIFE_S))
            process.kill()
            answered += [request_id for each in asking for request_id in each.result()]
        stop_server(process)
    while segments_in(log / "m"):  # a killed server's own compaction may be at work still
        compact(log / "m")
        time.sleep(LOOK_S)
    parts = [str(part.path) for part in parts_in(log / "m")]
    logged = Counter(pq.ParquetDataset(parts).read(["request_id"])["request_id"].to_pylist())
    lost = sum(request_id not in logged for request_id in answered)
    return lost, sum(times > 1 for times in logged.values()), len(answered)


def ask_until_killed(address: str, name: str) -> list[str]:
    """Return the ids of the requests that were answered."""
    where = urlsplit(address)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=10)
    body = json.dumps({"instances": [[0.5] * FEATURES]})
    answered: list[str] = []
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        while True:
            request_id = f"{name}-{len(answered)}"
            connection.request("POST", "/v1/models/m:predict", body, {"X-Request-Id": request_id})
            response = connection.getresponse()
            response.read()
            if response.status != HTTPStatus.OK:
                raise RuntimeError(f"the server answered {response.status}")
            answered.append(request_id)
    return answered


def at_least(name: str, value: float, bar: float) -> dict[str, object]:
    """Return a claim that holds if ``value`` reaches ``bar``."""
    return {"name": name, "value": round(value, 4), "bar": bar, "holds": value >= bar}


def at_most(name: str, value: float, bar: float) -> dict[str, object]:
    """Return a claim that holds if ``value`` does not exceed ``bar``."""
    return {"name": name, "value": round(value, 4), "bar": bar, "holds": value <= bar}


if __name__ == "__main__":
    sys.exit(main())
