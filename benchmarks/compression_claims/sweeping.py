"""What a sweep of thirty candidates costs beside its own work, on two workers, and once killed.

Each sweep runs in a process and a workspace of its own. The time is that of the step, from its
first to its last event. On a machine that does other work meanwhile the ratios are only indicative:
what counts is compared within one run or between two that follow each other.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from compression_claims.claims import Claim, at_most
from compression_claims.workspaces import own_workspace, trained

DATASET = "digits"
RECIPES = tuple(
    "+".join(filter(None, (technique, precision)))
    for technique in (
        "prune_50", "prune_70", "prune_80", "prune_90", "cluster_8", "cluster_16", "cluster_32",
        "prune_80+cluster_16", "shrink_50", "rank_50",
    )
    for precision in ("", "dynamic", "int8")
)[:29]  # fmt: skip
"""With the baseline thirty candidates."""

LARGEST_OVERHEAD, LARGEST_OF_TWO = 1.15, 0.6
QUICK = 10
"""Candidates of a quick run, which says little of the overhead: there is less to share it."""
EPOCHS = 4


@dataclass(frozen=True)
class Told:
    """What a sweep in a process of its own tells at its end."""

    seconds: float
    overhead_ratio: float
    made: int


def sweeping(candidates: int = len(RECIPES) + 1) -> list[Claim]:
    """Return the claims of sweeps of so many ``candidates``, the baseline one of them."""
    with own_workspace() as folder:
        record = trained(dataset=DATASET, architecture="cnn", units=32, epochs=10)
        model = record.file("model.keras")
        one = _sweep(folder / "one", model, candidates, workers=1)
        two = _sweep(folder / "two", model, candidates, workers=2)
        print(
            f"sweep          {one.made} of {candidates} candidates made; one worker "
            f"{one.seconds:.0f} s, two {two.seconds:.0f} s; load of the machine "
            f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )
        return [
            at_most(
                f"sweep of {candidates}: time, ratio to its candidates' own work",
                one.overhead_ratio, LARGEST_OVERHEAD,
            ),
            at_most(
                f"sweep of {candidates}: time of two workers, ratio to one's",
                two.seconds / one.seconds, LARGEST_OF_TWO,
            ),
            at_most(
                "sweep killed by -9: what had finished and was made again",
                _made_again(folder / "killed", model, candidates), 0,
            ),
        ]  # fmt: skip


def _made_again(workspace: Path, model: Path, candidates: int) -> int:
    """Return how many entries, finished when a sweep was killed, the next one has made anew."""
    child = subprocess.Popen(
        _command(model, candidates, 1),
        env=_environment(workspace),
        stdout=subprocess.PIPE,
        text=True,
    )
    made = 0
    for line in child.stdout or ():
        made += line.endswith(" was made.\n")
        if made == candidates // 3:
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    finished = _entries(workspace)
    resumed = _sweep(workspace, model, candidates, workers=1)
    after = _entries(workspace)
    again = sum(after.get(key) != entry for key, entry in finished.items())
    print(
        f"sweep          killed after {made} candidates, {len(finished)} of these and their stages "
        f"kept; resumed: {resumed.made} candidates, {len(after)} kept, {again} of the former anew"
    )
    return again


def _entries(workspace: Path) -> dict[str, bytes]:
    """Return what the workspace keeps of candidates and their stages: when each was made."""
    from agiwb.compression.trials.cache import FOLDER

    return {
        path.parent.name: path.read_bytes() for path in (workspace / FOLDER).glob("*/entry.json")
    }


def _sweep(workspace: Path, model: Path, candidates: int, workers: int) -> Told:
    done = subprocess.run(
        _command(model, candidates, workers), check=True, capture_output=True, text=True,
        env=_environment(workspace),
    )  # fmt: skip
    return Told(**json.loads(done.stdout.splitlines()[-1]))


def _command(model: Path, candidates: int, workers: int) -> list[str]:
    return [sys.executable, __file__, str(model), str(candidates), str(workers)]


def _environment(workspace: Path) -> dict[str, str]:
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "AGIWB_WORKSPACE": str(workspace),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
    }


def _child() -> None:
    """Sweep, tell each message on a line, and at the end what it took."""
    from agiwb import SweepConfig, sweep

    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("candidates", type=int)
    parser.add_argument("workers", type=int)
    options = parser.parse_args()
    config = SweepConfig(
        model=options.model, dataset=DATASET, recipes=RECIPES[: options.candidates - 1],
        fine_tune_epochs=EPOCHS, threads=1, workers=options.workers,
    )  # fmt: skip
    began = time.monotonic()
    record = sweep(config, listener=lambda event: print(event.message) if event.message else None)
    seconds = time.monotonic() - began
    told = {
        "seconds": seconds,
        "overhead_ratio": record.overhead_ratio,
        "made": sum(each.measured is not None for each in record.candidates),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    _child()
