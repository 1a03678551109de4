"""What training on data larger than a memory budget costs: peak memory, and rows a second.

A Parquet file of some gigabytes is written to a temporary folder (and removed). Each measurement
is a process of its own, in the same run: an MLP trained on a few rows in memory (the baseline of
memory and of speed), the same MLP trained on the streamed file, and pyarrow reading the file alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WIDTH, GROUP_ROWS, CLASSES = 784, 20_000, 10
ROW_BYTES = 4 * WIDTH + 8
TRAINED_ROWS, MEMORY_ROWS, BATCH = 150_000, 10_000, 128
MOST_GROWTH_MB = 400
LEAST_RATIO = 0.4


def write_sorted_file(path: Path, gigabytes: float) -> int:
    """Write rows sorted by class, as bad for shuffling as can be, and return how many."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    groups = max(1, round(gigabytes * 1e9 / (ROW_BYTES * GROUP_ROWS)))
    generator = np.random.default_rng(0)
    schema = pa.schema([("x", pa.list_(pa.float32(), WIDTH)), ("label", pa.int64())])
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for group in range(groups):
            values = generator.random(GROUP_ROWS * WIDTH, dtype=np.float32)
            labels = np.full(GROUP_ROWS, group * CLASSES // groups)
            arrays = [pa.FixedSizeListArray.from_arrays(pa.array(values), WIDTH), pa.array(labels)]
            writer.write_table(pa.table(arrays, schema=schema))
    return groups * GROUP_ROWS


def peak_mb() -> float:
    """Return the largest resident memory this process has had, in MB."""
    status = Path("/proc/self/status").read_text("ascii")
    kilobytes = status.partition("VmHWM:")[2].split()[0]
    return int(kilobytes) / 1000


def train_in_memory(path: Path) -> dict[str, float]:
    """Train on a few rows in memory, over and over."""
    import numpy as np

    from agiwb.datasets.dataset import Dataset, Split

    generator = np.random.default_rng(0)
    rows = generator.random((MEMORY_ROWS, WIDTH), dtype=np.float32)
    split = Split(rows, generator.integers(0, CLASSES, MEMORY_ROWS))
    names = tuple(map(str, range(CLASSES)))
    return fitted(Dataset("memory", names, 1.0, split, split, split))


def train_streamed(path: Path) -> dict[str, float]:
    """Train on part of an epoch of the file, which stays on disk."""
    from agiwb.datasets.description import SourceDescription
    from agiwb.datasets.parquet import load_parquet
    from agiwb.datasets.source import say_nothing

    description = SourceDescription(
        name="streamed", path=path, task="classification", stream="always"
    )
    return fitted(load_parquet(description, say_nothing).data)


def fitted(data: Any) -> dict[str, float]:
    """Return rows a second of training, the compilation of its steps included, and memory."""
    from agiwb.models.registry import build_model
    from agiwb.models.specification import ModelSpec, Size
    from agiwb.training.pipeline import training_batches

    model = build_model("mlp", ModelSpec.of(data, Size(units=128)))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    batches = training_batches(data.train, BATCH, 0, range(10_000))
    started_at = time.perf_counter()
    model.fit(batches, steps_per_epoch=TRAINED_ROWS // BATCH, verbose=0, shuffle=False)
    seconds = time.perf_counter() - started_at
    return {"rows_per_s": TRAINED_ROWS / seconds, "peak_mb": peak_mb()}


def read_alone(path: Path) -> dict[str, float]:
    """Read as many rows with pyarrow, and do nothing with them."""
    import pyarrow as pa
    from pyarrow import parquet

    started_at, rows = time.perf_counter(), 0
    with pa.OSFile(str(path)) as stream:
        for batch in parquet.ParquetFile(stream, pre_buffer=False).iter_batches(4096):
            rows += batch.num_rows
            if rows >= TRAINED_ROWS:
                break
    seconds = time.perf_counter() - started_at
    return {"rows_per_s": rows / seconds, "peak_mb": peak_mb()}


MEASUREMENTS = {
    "training from memory": train_in_memory,
    "training streamed": train_streamed,
    "pyarrow alone": read_alone,
}


def measured(name: str, path: Path, workspace: Path) -> dict[str, float]:
    """Return what a process of its own measures."""
    answer = subprocess.run(
        [sys.executable, __file__, "--measure", name, "--file", str(path)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "AGIWB_WORKSPACE": str(workspace)},
    )
    result: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the file (default 2)")
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASUREMENTS[options.measure](options.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        rows = write_sorted_file(path, options.gigabytes)
        size_mb = path.stat().st_size / 1e6
        print(f"{rows:,} rows of {WIDTH} numbers, sorted by class: {size_mb:,.0f} MB")
        found = {name: measured(name, path, Path(folder)) for name in MEASUREMENTS}
    for name, result in found.items():
        print(f"{name:<22} {result['rows_per_s']:9,.0f} rows/s   peak {result['peak_mb']:7,.0f} MB")
    memory, streamed, alone = (found[name] for name in MEASUREMENTS)
    growth = streamed["peak_mb"] - memory["peak_mb"]
    ratio = streamed["rows_per_s"] / min(alone["rows_per_s"], memory["rows_per_s"])
    print(
        f"streamed / memory {streamed['rows_per_s'] / memory['rows_per_s']:.2f}, "
        f"streamed / pyarrow alone {streamed['rows_per_s'] / alone['rows_per_s']:.2f}, "
        f"data / growth {size_mb / max(1.0, growth):.1f}"
    )
    claims = [
        {
            "name": f"peak memory over training on {MEMORY_ROWS} rows in memory, MB",
            "value": round(growth),
            "bar": MOST_GROWTH_MB,
            "holds": growth <= MOST_GROWTH_MB < size_mb,
        },
        {
            "name": "streamed rows/s, ratio to the slower of training and reading alone",
            "value": round(ratio, 2),
            "bar": LEAST_RATIO,
            "holds": ratio >= LEAST_RATIO,
        },
    ]
    print(json.dumps({"claims": claims, "machine": f"{platform.machine()} {platform.system()}"}))


if __name__ == "__main__":
    main()
