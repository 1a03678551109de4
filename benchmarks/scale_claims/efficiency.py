"""Sweeps and matrices on Dask workers against as many local processes, in the same run.

Both are measured in turn, and after a first round that is not counted: a cluster's workers stay,
and have their libraries imported. Local processes import them each time; that is counted, as users
wait for it too.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from compression_claims.claims import Claim, at_least
from compression_claims.workspaces import own_workspace, trained
from scale_claims.clusters import cluster

LEAST = 0.85
COUNTS = (1, 2)
ROUNDS = 3
NOTEBOOKS = 6
EPOCHS = 60
PRUNED = (40, 45, 50, 55, 60, 65, 70, 75)

WORK = """import time
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
until = time.process_time() + seconds
while time.process_time() < until:
    LogisticRegression(max_iter=200).fit(*load_digits(return_X_y=True))"""

Measure = Callable[[int, str | None], None]
"""Does the work with so many workers: of the scheduler, or of this machine."""


def sweeps(*, quick: bool) -> list[Claim]:
    """Return the claims about a sweep of candidates that fine-tune for seconds."""
    from agiwb import SweepConfig, sweep

    with own_workspace():
        model = trained(dataset="digits", architecture="mlp", units=64, epochs=2)
        seeds = itertools.count()

        def measure(workers: int, scheduler: str | None) -> None:
            sweep(
                SweepConfig(
                    model=str(model.file("model.keras")), dataset="digits",
                    recipes=tuple(f"prune_{share}" for share in PRUNED[: 4 if quick else None]),
                    fine_tune_epochs=EPOCHS // 3 if quick else EPOCHS, threads=1, seed=next(seeds),
                    latency_blocks=5, latency_runs=1, sensitivity=False,
                    workers=workers, scheduler=scheduler,
                ),
                listener=lambda _event: None,
            )  # fmt: skip

        return _claims("sweep", measure, quick=quick)


def matrices(*, quick: bool) -> list[Claim]:
    """Return the claims about a matrix of notebooks that compute for seconds."""
    import nbformat

    from agiwb import MatrixConfig, run_matrix

    with own_workspace() as folder:
        cells = [nbformat.v4.new_code_cell(text) for text in ("seconds = 1.0\nn = 0", WORK)]
        cells[0].metadata["tags"] = ["parameters"]
        path = folder / "work.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)

        count = NOTEBOOKS // 3 if quick else NOTEBOOKS

        def measure(workers: int, scheduler: str | None) -> None:
            matrix = {
                "notebook": str(path), "n": list(range(count)),
                "seconds": 2.0 if quick else 6.0,
            }  # fmt: skip
            config = MatrixConfig(matrix=matrix, cache=False, workers=workers, scheduler=scheduler)
            record = run_matrix(config, listener=lambda _event: None)
            if record.count("passed") < count:
                raise RuntimeError(f"Notebooks failed: {record.problems}")

        return _claims("matrix", measure, quick=quick)


def _claims(name: str, measure: Measure, *, quick: bool) -> list[Claim]:
    claims = []
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as place, cluster(Path(place), count) as address:
            measure(count, address)
            seconds: dict[str | None, list[float]] = {None: [], address: []}
            for _ in range(1 if quick else ROUNDS):
                for scheduler, times in seconds.items():
                    began = time.perf_counter()
                    measure(count, scheduler)
                    times.append(time.perf_counter() - began)
        local, dask = (statistics.median(times) for times in seconds.values())
        workers = f"{count} worker{'s' * (count > 1)}"
        print(f"{name:<14} {workers}: {local:.1f} s in local processes, {dask:.1f} s on Dask")
        told = f"{name} on {workers} of Dask: efficiency against local processes"
        claims.append(at_least(told, local / dask, LEAST))
    return claims
