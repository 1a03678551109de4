"""Swapping models under load: nothing fails, nothing goes back, and hardly anything slows down.

Run it with ``python benchmarks/swaps.py``; it takes about four minutes. Eight clients ask without
a pause while a new version is published, by renaming its folder into the base path, again and
again; the old one is then removed. Every answer's content tells which version it is from. Three
runs: plain; with each new version first as a shadow and a canary, then promoted; and with every
other new version corrupt. Predictions are logged. Server and clients have a core each.

A swap lasts from the rename until the old version is unloaded; the requests under way then are
compared with those of the time between the swaps. ``--requests`` and ``--swaps`` shorten it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from serving_load.checked import CheckedConnection, Seen
from serving_load.claims import at_least, at_most
from serving_load.models import TABLE_ROWS, write_addend
from serving_load.processes import MachineWatch, ProcessTree, on_core, two_cores

from agiwb.serving.endpoint import Endpoint
from agiwb.serving.launch import start_server
from agiwb.serving.settings import OPERATOR_KEY

NAME = "addend"
CLIENTS = 8
POLL_S = 0.2
STEADY_S = 1.0
CORRUPT_S = 1.0
CANARY_S = 0.3
CANARY_SHARE = 0.5
WARM_UP_S = 2.0
LONGEST_SWAP_S = 30.0
LARGEST_P99_RATIO = 2.0
LARGEST_GROWTH_MB = 20.0


@dataclass
class Stage:
    """A server under load, and the models it serves."""

    endpoint: Endpoint
    base_path: Path
    published: set[int] = field(default_factory=set)
    spans: list[tuple[float, float]] = field(default_factory=list)
    swaps: int = 0

    def publish(self, number: int, *, corrupt: bool = False) -> Path:
        """Write a version beside the base path, and return where; ``reveal`` renames it in."""
        draft = self.base_path.parent / f"draft-{number}"
        if corrupt:
            draft.mkdir()
            (draft / "model.onnx").write_bytes(b"This is no model. " * 1000)
        else:
            write_addend(draft, number)
        return draft

    def reveal(self, draft: Path, number: int) -> None:
        """Publish a version that is written."""
        draft.rename(self.base_path / str(number))

    async def until(self, happened: Callable[[], bool], what: str) -> None:
        """Return once ``happened`` says so; the load goes on meanwhile."""
        end = time.monotonic() + LONGEST_SWAP_S
        while not await asyncio.to_thread(happened):
            if time.monotonic() > end:
                raise SystemExit(f"{what} within {LONGEST_SWAP_S:.0f} s.")
            await asyncio.sleep(0.02)

    def is_available(self, number: int) -> bool:
        """Return whether a version is served."""
        return self.endpoint.versions().get(number) == "AVAILABLE"

    def is_gone(self, number: int) -> bool:
        """Return whether a version is unloaded."""
        return self.endpoint.versions().get(number, "END") == "END"

    def remove(self, number: int) -> None:
        """Delete a version's folder; it leaves the base path in one step."""
        gone = self.base_path.parent / f"gone-{number}"
        (self.base_path / str(number)).rename(gone)
        shutil.rmtree(gone)


Swap = Callable[[Stage, int, int], Awaitable[None]]


async def swap_plainly(stage: Stage, old: int, new: int) -> None:
    """Have the highest version answer."""
    draft = await asyncio.to_thread(stage.publish, new)
    start = time.perf_counter()
    stage.published.add(new)
    stage.reveal(draft, new)
    await stage.until(lambda: stage.is_available(new), f"Version {new} was not loaded")
    await stage.until(lambda: stage.is_gone(old), f"Version {old} was not unloaded")
    stage.spans.append((start, time.perf_counter()))
    stage.swaps += 1
    await asyncio.to_thread(stage.remove, old)


async def swap_by_trial(stage: Stage, old: int, new: int) -> None:
    """Have the new version answer nobody, then half of the clients, then all."""
    draft = await asyncio.to_thread(stage.publish, new)
    start = time.perf_counter()
    stage.published.add(new)
    stage.reveal(draft, new)
    await stage.until(lambda: stage.is_available(new), f"Version {new} was not loaded")
    await asyncio.to_thread(stage.endpoint.shadow, new)
    await asyncio.sleep(CANARY_S)
    # Without guards: they judge latency by what a busy machine does to it.
    await asyncio.to_thread(stage.endpoint.canary, new, CANARY_SHARE)
    await asyncio.sleep(CANARY_S)
    await asyncio.to_thread(stage.endpoint.promote)
    await asyncio.to_thread(stage.remove, old)
    await stage.until(lambda: stage.is_gone(old), f"Version {old} was not unloaded")
    stage.spans.append((start, time.perf_counter()))
    stage.swaps += 1


async def swap_or_spoil(stage: Stage, old: int, new: int) -> None:
    """Publish a corrupt version, which nobody may notice, and then a good one."""
    broken = await asyncio.to_thread(lambda: stage.publish(new - 1, corrupt=True))
    start = time.perf_counter()
    stage.reveal(broken, new - 1)
    await asyncio.sleep(CORRUPT_S)
    stage.spans.append((start, time.perf_counter()))
    if stage.is_available(new - 1) or not stage.is_available(old):
        raise SystemExit(f"The corrupt version {new - 1} took the place of {old}.")
    await swap_plainly(stage, old, new)
    await asyncio.to_thread(stage.remove, new - 1)


@dataclass(frozen=True)
class Scenario:
    """One run. ``step`` is from one good version's number to the next's."""

    name: str
    swap: Swap
    step: int = 1
    policy: str = "latest { num_versions: 1 }"


SCENARIOS = (
    Scenario("plain", swap_plainly),
    Scenario("canary and shadow", swap_by_trial, policy="all {}"),
    Scenario("every other version corrupt", swap_or_spoil, step=2),
)


@dataclass(frozen=True)
class Outcome:
    """What one scenario showed; times in milliseconds, memory in MB."""

    scenario: str
    seen: Seen
    swaps: int
    swap_s: float
    steady_p99: float
    swap_p99: float
    worst: float
    growth_mb: float


async def run(scenario: Scenario, requests: int, swaps: int) -> Outcome:
    """Return what clients saw of ``swaps`` swaps and at least ``requests`` requests."""
    with tempfile.TemporaryDirectory() as folder:
        base_path = Path(folder) / NAME
        write_addend(base_path / "1", 1)
        endpoint = start(scenario, base_path)
        with endpoint:
            stage = Stage(endpoint, base_path, {1})
            if scenario.policy == "all {}":
                endpoint.promote(1)  # or else the highest version answers as soon as it is there
            return await under_load(scenario, stage, requests, swaps)


def start(scenario: Scenario, base_path: Path) -> Endpoint:
    """Return a server that looks for versions several times a second."""
    config = base_path.parent / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "{NAME}" base_path: "{base_path}" '
        f'model_platform: "onnx" model_version_policy {{ {scenario.policy} }} }} }}'
    )
    flags = ["--model-config-file", str(config), "--rest-api-port", "0"]
    flags += ["--file-system-poll-wait-seconds", str(POLL_S)]
    flags += ["--log-folder", str(base_path.parent / "predictions")]
    log, key = base_path.parent / "server.log", secrets.token_urlsafe()
    with on_core(two_cores()[0]):
        process, ready = start_server(flags, log, environment={OPERATOR_KEY: key})
    return Endpoint(process, ready, log, operator_key=key)


async def under_load(scenario: Scenario, stage: Stage, requests: int, swaps: int) -> Outcome:
    """Swap while the clients ask; see ``run``."""
    seen = Seen()
    loop = asyncio.get_running_loop()
    place = stage.endpoint.address.rpartition(":")
    tree = ProcessTree(stage.endpoint.process_id)
    clients = []
    for number in range(CLIENTS):
        make = partial(CheckedConnection, stage.endpoint.url, number, stage.published, seen)
        _, client = await loop.create_connection(make, "127.0.0.1", int(place[2]))
        clients.append(client)
    await asyncio.sleep(WARM_UP_S)
    first_mb = tree.pss_mb()
    seen.answers.clear()
    begin, old = time.perf_counter(), 1
    for _ in range(swaps):
        await scenario.swap(stage, old, old + scenario.step)
        old += scenario.step
        await asyncio.sleep(STEADY_S)
    while len(seen.answers) < requests and not seen.failed:  # noqa: ASYNC110  nobody tells
        await asyncio.sleep(STEADY_S)
    end = time.perf_counter()
    for client in clients:
        client.stop()
    await asyncio.wait_for(asyncio.gather(*(client.ended for client in clients)), LONGEST_SWAP_S)
    for client in clients:
        if client.version != old:
            seen.fail(f"a client was last answered by version {client.version}, not {old}")
    swapping = seen.between(stage.spans)
    steady = seen.between(gaps(stage.spans, begin, end))
    return Outcome(
        scenario.name,
        seen,
        stage.swaps,
        statistics.median(last - first for first, last in stage.spans),
        float(np.quantile(steady, 0.99)) * 1e3,
        float(np.quantile(swapping, 0.99)) * 1e3,
        max(swapping) * 1e3,
        tree.pss_mb() - first_mb,
    )


def gaps(spans: list[tuple[float, float]], begin: float, end: float) -> list[tuple[float, float]]:
    """Return the spans between ``spans``."""
    edges = [begin, *(edge for span in spans for edge in span), end]
    return list(zip(edges[::2], edges[1::2], strict=True))


def main() -> int:
    """Print what was seen, then one line of JSON; return 0 if every claim holds."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--requests", type=int, default=50_000, help="in each run, at least")
    parser.add_argument("--swaps", type=int, default=20, help="in each run")
    options = parser.parse_args()
    gc.disable()  # the client's own pauses are not the server's
    os.sched_setaffinity(0, {two_cores()[1]})
    watch = MachineWatch()
    claims = []
    for scenario in SCENARIOS:
        outcome = asyncio.run(run(scenario, options.requests, options.swaps))
        report(outcome)
        claims += claim_all(outcome, options.requests, options.swaps)
        gc.collect()
    machine = (
        f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores, "
        f"{watch.foreign_cores():.2f} of them busy with other things"
    )
    print(json.dumps({"claims": claims, "machine": machine}))
    return 0 if all(claim["holds"] for claim in claims) else 1


def report(outcome: Outcome) -> None:
    """Print a scenario's outcome for people."""
    seen = outcome.seen
    print(
        f"{outcome.scenario}: {len(seen.answers):,} requests, {outcome.swaps} swaps of "
        f"{outcome.swap_s:.2f} s, {seen.failed} failed; p99 {outcome.steady_p99:.2f} ms, "
        f"during swaps {outcome.swap_p99:.2f} ms (worst {outcome.worst:.1f} ms); "
        f"memory {outcome.growth_mb:+.1f} MB",
        flush=True,
    )
    for failure in seen.failures:
        print(f"  {failure}")


def claim_all(outcome: Outcome, requests: int, swaps: int) -> list[dict[str, object]]:
    """Return the claims on one scenario."""
    name, version_mb = outcome.scenario, TABLE_ROWS * 4 / 1e6
    return [
        at_least(f"{name}: requests", len(outcome.seen.answers), requests),
        at_least(f"{name}: swaps", outcome.swaps, swaps),
        at_most(f"{name}: requests failed, answered wrong, or by an older version than before",
                outcome.seen.failed, 0),
        at_most(f"{name}: p99 during swaps to p99 between them",
                outcome.swap_p99 / outcome.steady_p99, LARGEST_P99_RATIO),
        at_most(f"{name}: memory more than before the first swap, MB ({version_mb:.0f} a version)",
                outcome.growth_mb, LARGEST_GROWTH_MB),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
