"""What it takes to make one file of the rollups that a hundred servers have written."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from compression_claims.claims import Claim, at_most

from agiwb.monitoring.log.cells import as_table, count_table, figures_of, merge_cells
from agiwb.monitoring.log.profile import Profile
from agiwb.monitoring.log.rolling import fit_missing
from agiwb.monitoring.log.shards import live_shards, merge_shards, write_shard
from agiwb.monitoring.sketches import BINS
from agiwb.serving.prediction_log import Prediction, PredictionLog
from agiwb.serving.prediction_log.compaction import compact
from agiwb.serving.prediction_log.places import parts_in

FILES, QUICK_FILES = 100, 20
ROWS, FEATURES, HOURS = 500, 16, 24
DAY = 20_000 * 86_400
MERGE_S = 3.0
"""For a hundred files; it happens in a process of low priority, once an hour at most."""
OF_ONE_READ = 1.5
"""What reading the merged file may take, of reading one that was written as one."""
ROUNDS = 5


def rollup_merge(*, quick: bool) -> list[Claim]:
    """Return the claims: nothing is lost, the merge is soon done, and reads as if never apart."""
    files = QUICK_FILES if quick else FILES
    with tempfile.TemporaryDirectory() as scratch:
        tables, whole = _tables(Path(scratch) / "log", files)
        apart, one = Path(scratch) / "apart", Path(scratch) / "one"
        for number, table in enumerate(tables):
            write_shard(apart / f"part-{number:03d}.parquet", table, sources=[str(number)])
        write_shard(one / "whole.parquet", whole)
        apart_s = _fastest(lambda: merge_cells(_read(apart)))
        merge_s = _timed(lambda: merge_shards(apart, merge_cells, beyond=1))
        merged_s, one_s = _fastest(lambda: _read(apart)), _fastest(lambda: _read(one))
        wrong = _difference(_read(apart), _read(one))
    print(
        f"rollup merge   {files} files of {files * ROWS:,} rows in {merge_s:.2f} s; asked without "
        f"merging {1e3 * apart_s:.0f} ms, merged {1e3 * merged_s:.1f} ms, of one {1e3 * one_s:.1f}"
    )
    return [
        at_most(f"merging {files} rollup files, seconds", merge_s, MERGE_S * files / FILES),
        at_most("reading the merged rollups, over one file's", merged_s / one_s, OF_ONE_READ),
        at_most("counts that merging changed", wrong, 0),
    ]


def _tables(folder: Path, files: int) -> tuple[list[Any], Any]:
    """Return a table of cells for each server, and one as a single server would have made it."""
    from agiwb.monitoring.log.tail import tables_of

    rng = np.random.default_rng(0)
    for _ in range(files):
        with contextlib.closing(PredictionLog(folder)) as log:
            for at in np.sort(rng.uniform(0, HOURS * 3600, ROWS)):
                log.append(_prediction(rng, DAY + float(at)))
        compact(folder / "m")
    profiles: list[Profile] = []
    counted: list[list[dict[str, Any]]] = []
    for part in parts_in(folder / "m"):
        cells: list[dict[str, Any]] = []
        for table in tables_of(part):
            profiles += [] if profiles else fit_missing(table, {})
            cells += count_table(profiles[0], table)
        counted.append(cells)
    return [as_table(cells) for cells in counted], as_table(
        [one for each in counted for one in each]
    )


def _prediction(rng: np.random.Generator, at: float) -> Prediction:
    return Prediction(
        request_id=f"{rng.integers(1 << 62):x}",
        time=at,
        model="m",
        version=int(rng.integers(1, 3)),
        variant="champion",
        signature_name="serving_default",
        inputs={"features": rng.normal(size=(1, FEATURES)).astype(np.float32)},
        outputs={"probabilities": rng.dirichlet([1, 1, 1], 1).astype(np.float32)},
        latency_ms=float(rng.gamma(2, 0.5)),
    )


def _read(folder: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pa.concat_tables([pq.ParquetFile(shard.path).read() for shard in live_shards(folder)])


def _difference(merged: Any, whole: Any) -> int:
    """Return in how many counts two tables of cells differ."""
    wrong = abs(len(merged) - len(whole))
    first, second = merge_cells(merged), merge_cells(whole)
    for name in ("rows", "missing", "below", "above", "unseen"):
        wrong += int((first[name].to_numpy() != second[name].to_numpy()).sum())
    numeric = [np.asarray(table["kind"].to_pylist()) == "numeric" for table in (first, second)]
    bins = [
        figures_of(table["counts"].filter(kept), "counts", BINS)
        for table, kept in zip((first, second), numeric, strict=True)
    ]
    return wrong + int((bins[0] != bins[1]).sum())


def _fastest(work: Callable[[], object]) -> float:
    return min(_timed(work) for _ in range(ROUNDS))


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
