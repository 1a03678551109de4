"""The fast engine against TFMA on Beam, in the same run.

200,000 rows, all of them and a slice of ten values, five metrics. TFMA is given two smaller parts
of the same rows, from which its time for all of them is extrapolated (a fixed cost, and a cost a
row), or with ``--full`` all of them. Every field of a part is compared. 2 million rows are timed,
and before all else it is seen by how much the peak of memory grows from 2 million rows in batches
to 10 million.

TFMA runs its own transforms on Beam's runner inside this process. ``tfma.analyze_raw_data`` does
the same, but lets Beam choose the runner, which begins by trying to download one.

Seconds are wall-clock; those of the processor are printed beside, as they tell what a busy machine
does to the others. The speed-up is that of processor seconds, so that it means the same on both.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agiwb.evaluation.beam_pipeline import run_pipeline
from agiwb.evaluation.tfma_engine import import_tfma

ROWS = 200_000
PARTS = (2_000, 10_000)
MANY, MOST, BATCH = 2_000_000, 10_000_000, 1_000_000
LEAST_RATIO = 100.0
MOST_SECONDS = 10.0
MOST_GROWTH_MB = 100.0
"""The rows of the batches in between take 256 MB, were they kept."""

CONFIG = """
  model_specs { label_key: "label" prediction_key: "prediction" }
  slicing_specs {} slicing_specs { feature_keys: "site" }
  metrics_specs {
    metrics { class_name: "BinaryAccuracy" } metrics { class_name: "AUC" }
    metrics { class_name: "Precision" } metrics { class_name: "Recall" }
    metrics { class_name: "ExampleCount" } }
"""

Columns = dict[str, NDArray[Any]]


def make_columns(rows: int, seed: int = 0) -> Columns:
    """Return labels, scores that know something of them, and a column of ten values."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    scores = np.clip(random.normal(0.3 + 0.4 * labels, 0.25), 0, 1).astype(np.float32)
    sites = np.array([f"site{number}" for number in range(10)])[random.integers(0, 10, rows)]
    return {"label": labels, "prediction": scores, "site": sites}


class Timed(NamedTuple):
    """What some work took, in seconds, and what it returned."""

    wall: float
    processor: float
    result: Any

    def __str__(self) -> str:
        return f"{self.wall:.2f} s, {self.processor:.2f} s of the processor"


def timed(work: Callable[[], Any]) -> Timed:
    """Return how long ``work`` takes, and what it returns."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return Timed(time.perf_counter() - wall, time.process_time() - processor, result)


def by_tfma(columns: Columns, config: Any) -> dict[Any, dict[str, float]]:
    """Return TFMA's metrics by slice."""
    from agiwb.evaluation.fast.engine import with_defaults

    with tempfile.TemporaryDirectory() as folder:
        run_pipeline(columns, with_defaults(config), Path(folder))
        return _named(import_tfma().load_eval_result(folder))


def _named(result: Any) -> dict[Any, dict[str, float]]:
    return {
        key: {name: value["doubleValue"] for name, value in outputs[""][""].items()}
        for key, outputs in result.slicing_metrics
    }


def by_fast(batches: Any, config: Any) -> dict[Any, dict[str, float]]:
    """Return the fast engine's metrics by slice."""
    from agiwb.evaluation.fast.engine import evaluate_columns

    found = evaluate_columns(batches, config)
    return {
        key: {name.name: float(value) for name, value in values.items()}
        for key, values in found.metrics.items()
    }


def worst_difference(one: dict[Any, Any], other: dict[Any, Any]) -> float:
    """Return the largest difference of a field; infinity if one has a field the other lacks."""
    if one.keys() != other.keys() or any(one[key].keys() != other[key].keys() for key in one):
        return math.inf
    return max(abs(one[key][name] - other[key][name]) for key in one for name in one[key])


def peak_mb() -> float:
    """Return the most memory this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_batches(rows: int) -> Iterator[Columns]:
    """Yield rows that are made when they are asked for."""
    for seed in range(rows // BATCH):
        yield make_columns(BATCH, seed)


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="give TFMA all rows: minutes")
    full = parser.parse_args().full
    import_tfma()
    from google.protobuf import text_format
    from tensorflow_model_analysis.proto import config_pb2

    config = text_format.Parse(CONFIG, config_pb2.EvalConfig())
    by_fast(in_batches(MANY), config)
    before = peak_mb()
    most_took = timed(lambda: by_fast(in_batches(MOST), config))
    growth = peak_mb() - before
    print(f"fast, {MOST:,} rows in batches, with making them: {most_took}")
    print(
        f"peak of memory: {before:.0f} MB after {MANY:,} rows, {growth:.0f} MB more after {MOST:,}"
    )

    columns = make_columns(ROWS)
    fast = min((timed(lambda: by_fast([columns], config)) for _ in range(3)), key=_processor)
    print(f"fast, {ROWS:,} rows: {fast}")

    times = []
    worst = 0.0
    for rows in (ROWS,) if full else PARTS:
        part = {name: values[:rows] for name, values in columns.items()}
        took = timed(lambda part=part: by_tfma(part, config))
        same = fast.result if full else by_fast([part], config)
        worst = max(worst, worst_difference(took.result, same))
        times.append(took.processor)
        print(f"tfma, {rows:,} rows: {took}; worst difference so far {worst:.1e}")
    if full:
        (tfma_seconds,) = times
    else:
        a_row = (times[1] - times[0]) / (PARTS[1] - PARTS[0])
        tfma_seconds = times[0] + a_row * (ROWS - PARTS[0])
        print(
            f"tfma, {ROWS:,} rows: {tfma_seconds:.0f} s of the processor, extrapolated at "
            f"{1e3 * a_row:.2f} ms a row"
        )

    many = make_columns(MANY)
    many_took = timed(lambda: by_fast([many], config))
    print(f"fast, {MANY:,} rows: {many_took}")

    how = "measured" if full else "extrapolated"
    claims = [
        claim(
            f"speed-up over TFMA ({how})", tfma_seconds / fast.processor, LEAST_RATIO, least=True
        ),
        claim("worst difference of a field", worst, 1e-6),
        claim("seconds for 2 million rows", many_took.wall, MOST_SECONDS),
        claim("MB that 10 million rows take more than 2 million", growth, MOST_GROWTH_MB),
    ]
    print(json.dumps({"claims": claims, "machine": f"{platform.machine()} {platform.system()}"}))


def _processor(took: Timed) -> float:
    return took.processor


def claim(name: str, value: float, bar: float, *, least: bool = False) -> dict[str, Any]:
    """Return one claim and whether it holds."""
    holds = value >= bar if least else value <= bar
    return {"name": name, "value": float(f"{value:.3g}"), "bar": bar, "holds": bool(holds)}


if __name__ == "__main__":
    main()
