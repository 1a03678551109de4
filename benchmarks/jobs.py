"""How soon a detached job trains: from nothing, against from the warm process, in the same run.

Measured from ``submit`` to the event of the first training batch, in turn, so that a machine that
slows down slows both. Also how long ``submit`` keeps its caller, and what a report of progress
costs a step that makes one for each batch.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from agiwb import Job, TrainConfig, submit
from agiwb.jobs import warm
from agiwb.runs.context import Context
from agiwb.runs.events import Event
from agiwb.runs.liveness import CancelRequest, RunFolder
from agiwb.runs.provenance import describe_origin
from agiwb.runs.record import RunInfo
from agiwb.runs.store import open_store

ROUNDS = 5
LARGEST_RATIO = 0.5
LONGEST_SUBMIT_MS = 100.0
LONGEST_REPORT_US = 20.0
REPORTS = 100_000


def first_batch(is_warm: bool) -> tuple[float, float]:
    """Return the seconds that ``submit`` took, and those from its call to the first batch."""
    os.environ["AGIWB_WARM"] = str(int(is_warm))
    submitted_at, began = time.time(), time.perf_counter()
    job = submit("train", TrainConfig(architecture="mlp", units=16, epochs=1), reuse=False)
    returned = time.perf_counter() - began
    trained_at = next(
        event.at.timestamp() for event in job.follow() if event.phase.startswith("epoch")
    )
    require_finished(job)
    return returned, trained_at - submitted_at


def require_finished(job: Job) -> None:
    """Wait for the job; raise what it failed of."""
    job.wait(600)
    job.record()


@contextlib.contextmanager
def warm_process() -> Iterator[None]:
    """Have the warm process up and idle, one that nobody else uses."""
    address = warm.warm_address(os.environ)
    if address is None:
        raise SystemExit("There can be no warm process here.")
    warm.ask_warm_process(RunFolder(Path()), ".", os.environ)  # finds none, and starts it
    while not address.exists():
        time.sleep(0.1)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(address))
        pid, _ = warm.peer_of(connection)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)


def microseconds_of_a_report(folder: Path) -> float:
    """Return what ``Context.progress`` costs, on average, where nearly all reports are dropped."""
    run = RunInfo(
        id="0",
        step="none",
        folder=folder,
        cache_key="",
        started_at=datetime.now(UTC),
        provenance=describe_origin({}, {}),
    )
    cancelled = CancelRequest(RunFolder(folder))
    told: list[Event] = []
    context = Context(run, open_store(), folder / "files", told.append, cancelled)
    began = time.perf_counter()
    for done in range(REPORTS):
        context.progress("epoch", done, REPORTS, loss=0.5)
    return 1e6 * (time.perf_counter() - began) / REPORTS


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"AGIWB_WORKSPACE": f"{folder}/workspace", "TMPDIR": folder}
        tempfile.tempdir = folder
        report_us = microseconds_of_a_report(Path(folder))
        print(f"a report of progress {report_us:9.2f} us")
        times: dict[str, list[float]] = {"cold": [], "warm": []}
        returned = []
        with warm_process():
            first_batch(is_warm=True)  # makes the history's tables
            for _ in range(ROUNDS):
                for name, found in times.items():
                    submit_s, batch_s = first_batch(name == "warm")
                    returned.append(submit_s)
                    found.append(batch_s)
                    print(f"{name}: first batch after {batch_s:6.2f} s", flush=True)
    cold, warm_s = (statistics.median(found) for found in times.values())
    submit_ms = 1000 * statistics.median(returned)
    print(f"median {warm_s:.2f} s warm, {cold:.2f} s cold; submit returns in {submit_ms:.1f} ms")
    claims = [
        claim("first batch of a job, warm to cold", warm_s / cold, LARGEST_RATIO),
        claim("submit, milliseconds", submit_ms, LONGEST_SUBMIT_MS),
        claim("a report of progress, microseconds", report_us, LONGEST_REPORT_US),
    ]
    print(json.dumps({"claims": claims, "machine": f"{platform.machine()} {platform.system()}"}))


def claim(name: str, value: float, bar: float) -> dict[str, object]:
    """Return a claim that ``value`` is at most ``bar``."""
    return {"name": name, "value": round(value, 3), "bar": bar, "holds": value <= bar}


if __name__ == "__main__":
    main()
