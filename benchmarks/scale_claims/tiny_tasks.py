"""What a piece of work costs beside itself: pieces that do nothing, one after the other."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from compression_claims.claims import Claim, at_most
from scale_claims.clusters import cluster

from agiwb.crews.crew import Crew, Line, Returned
from agiwb.crews.dask_crew import DaskCluster
from agiwb.crews.nursery import LocalProcesses, Nursery

ROUNDS, FEW_ROUNDS = 10, 3
EACH = 20
LARGEST_MS = 50.0
"""A candidate takes seconds: a hundredth of that may be lost."""


def tiny_tasks(*, quick: bool) -> list[Claim]:
    """Return the claim about a Dask worker beside a local process, in turn; both are forked for."""
    with tempfile.TemporaryDirectory() as place, _importable_here():
        folder = Path(place)
        with (
            cluster(folder, workers=1) as address,
            contextlib.closing(LocalProcesses(1, Nursery(get_ready, folder / "logs"))) as here,
            contextlib.closing(DaskCluster(address, 1, get_ready)) as there,
        ):
            crews: tuple[Crew, Crew] = (here, there)
            rounds = range(FEW_ROUNDS if quick else ROUNDS)
            times = [[_each_ms(crew) for crew in crews] for _ in rounds]
    local_ms, dask_ms = (statistics.median(each) for each in zip(*times, strict=True))
    print(f"tiny tasks     {local_ms:.1f} ms each in local processes, {dask_ms:.1f} ms on Dask")
    told = "a task that does nothing: ms more on a Dask worker than in a local process"
    return [at_most(told, dask_ms - local_ms, LARGEST_MS)]


@contextlib.contextmanager
def _importable_here() -> Iterator[None]:
    """Let processes that are started meanwhile import what a benchmark does."""
    former = os.environ.get("PYTHONPATH")
    here = Path(__file__).parents[1]
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (here, here.parent)))
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        if former is not None:
            os.environ["PYTHONPATH"] = former


def _each_ms(crew: Crew) -> float:
    """Return the milliseconds a piece takes, once the first has been carried out."""
    _carry(crew, 0)
    began = time.perf_counter()
    for number in range(1, EACH + 1):
        _carry(crew, number)
    return (time.perf_counter() - began) / EACH * 1e3


def _carry(crew: Crew, number: int) -> None:
    crew.start(number, nothing, number)
    while not (endings := crew.wait(lambda _number, _what: None, lambda: None)):
        pass
    if endings != [Returned(number, number)]:
        raise RuntimeError(f"A task that does nothing failed: {endings}")


def nothing(number: int, line: Line) -> int:
    """Return the number at once."""
    return number


def get_ready() -> None:
    """Need nothing."""
