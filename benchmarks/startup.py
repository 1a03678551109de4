"""How long `agiwb --help` takes, and opening the history, against peers in the same run.

Commands are timed in turn, so that a machine that slows down slows them all.
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

ROUNDS = 9
LARGEST_RATIO = 12.0
LARGEST_SHARE = 1.0
"""Of the time in which MLflow's own client lists what is in the same history."""
_CLIENT = (
    "import os; from mlflow import MlflowClient; "
    "client = MlflowClient('sqlite:///' + os.environ['AGIWB_WORKSPACE'] + '/mlflow.db'); "
    "client.search_runs([each.experiment_id for each in client.search_experiments()])"
)

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import agiwb": ["-c", "import agiwb"],
    "agiwb --help": ["-m", "agiwb", "--help"],
    "agiwb train --help": ["-m", "agiwb", "train", "--help"],
    "MLflow's client": ["-c", _CLIENT],
    "agiwb runs": ["-m", "agiwb", "runs"],
}


def seconds(arguments: list[str]) -> float:
    """Return the wall-clock seconds that the interpreter takes with ``arguments``."""
    started_at = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started_at


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as workspace:
        os.environ["AGIWB_WORKSPACE"] = workspace
        seconds(COMMANDS["agiwb runs"])  # the first one makes the history
        for _ in range(ROUNDS):
            for name, arguments in COMMANDS.items():
                times[name].append(seconds(arguments))
    medians = {name: statistics.median(values) for name, values in times.items()}
    alone = medians["python -c pass"]
    for name, median in medians.items():
        print(f"{name:<20} {1000 * median:7.1f} ms   {median / alone:5.1f} x")
    ratio = medians["agiwb --help"] / alone
    share = medians["agiwb runs"] / medians["MLflow's client"]
    claims = [
        claim("agiwb --help, ratio to python -c pass", ratio, LARGEST_RATIO),
        claim("agiwb runs, ratio to MLflow's client on the same history", share, LARGEST_SHARE),
    ]
    print(json.dumps({"claims": claims, "machine": f"{platform.machine()} {platform.system()}"}))


def claim(name: str, value: float, bar: float) -> dict[str, object]:
    """Return one line of the result: the value is to be at most the bar."""
    return {"name": name, "value": round(value, 2), "bar": bar, "holds": value <= bar}


if __name__ == "__main__":
    main()
