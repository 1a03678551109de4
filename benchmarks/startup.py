"""How long `agiwb --help` takes, against the interpreter alone in the same run.

Commands are timed in turn, so that a machine that slows down slows them all.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time

ROUNDS = 15
LARGEST_RATIO = 12.0

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import agiwb": ["-c", "import agiwb"],
    "agiwb --help": ["-m", "agiwb", "--help"],
    "agiwb train --help": ["-m", "agiwb", "train", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """Return the wall-clock seconds that the interpreter takes with ``arguments``."""
    started_at = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started_at


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    medians = {name: statistics.median(values) for name, values in times.items()}
    alone = medians["python -c pass"]
    for name, median in medians.items():
        print(f"{name:<20} {1000 * median:7.1f} ms   {median / alone:5.1f} x")
    ratio = medians["agiwb --help"] / alone
    claim = {
        "name": "agiwb --help, ratio to python -c pass",
        "value": round(ratio, 2),
        "bar": LARGEST_RATIO,
        "holds": ratio <= LARGEST_RATIO,
    }
    print(json.dumps({"claims": [claim], "machine": f"{platform.machine()} {platform.system()}"}))


if __name__ == "__main__":
    main()
