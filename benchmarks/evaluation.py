"""The fast engine against ``tfma.analyze_raw_data``, in the same run.

200,000 rows, all of them and a slice of ten values, five metrics. TFMA is given two smaller parts
of the same rows, from which its time for all of them is extrapolated (a fixed cost, and a cost a
row), or with ``--full`` all of them. Every field of a part is compared. Then 2 million rows, and 10
million in batches, whose peak of memory is compared with that of 2 million.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.evaluation.tfma_engine import import_tfma

ROWS = 200_000
PARTS = (2_000, 10_000)
MANY, MOST, BATCH = 2_000_000, 10_000_000, 1_000_000
LEAST_RATIO = 50.0
MOST_SECONDS = 10.0
MOST_MEMORY_RATIO = 1.5

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


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the wall-clock seconds that ``work`` takes, and what it returns."""
    started_at = time.perf_counter()
    result = work()
    return time.perf_counter() - started_at, result


def by_tfma(columns: Columns, config: Any) -> dict[Any, dict[str, float]]:
    """Return TFMA's metrics by slice."""
    import pandas as pd

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        frame = pd.DataFrame(columns)
        return _named(import_tfma().analyze_raw_data(frame, config, output_path=folder))


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
    columns = make_columns(ROWS)
    by_fast([make_columns(1_000)], config)  # what is imported and built once
    seconds, fast = timed(lambda: by_fast([columns], config))
    print(f"fast, {ROWS:,} rows: {seconds:.2f} s")

    times = []
    worst = 0.0
    for rows in (ROWS,) if full else PARTS:
        part = {name: values[:rows] for name, values in columns.items()}
        took, found = timed(lambda part=part: by_tfma(part, config))
        worst = max(worst, worst_difference(found, fast if full else by_fast([part], config)))
        times.append(took)
        print(f"tfma, {rows:,} rows: {took:.1f} s, worst difference so far {worst:.1e}")
    if full:
        (tfma_seconds,) = times
    else:
        a_row = (times[1] - times[0]) / (PARTS[1] - PARTS[0])
        tfma_seconds = times[0] + a_row * (ROWS - PARTS[0])
        print(
            f"tfma, {ROWS:,} rows: {tfma_seconds:.0f} s, extrapolated at {1e3 * a_row:.2f} ms a row"
        )

    many_seconds, _ = timed(lambda: by_fast([make_columns(MANY)], config))
    print(f"fast, {MANY:,} rows, with making them: {many_seconds:.1f} s")
    by_fast(in_batches(MANY), config)
    before = peak_mb()
    most_seconds, _ = timed(lambda: by_fast(in_batches(MOST), config))
    memory = peak_mb() / before
    print(f"fast, {MOST:,} rows in batches, with making them: {most_seconds:.1f} s")
    print(f"peak of memory: {before:.0f} MB before, {peak_mb():.0f} MB after")

    how = "measured" if full else "extrapolated"
    claims = [
        claim(f"speed-up over TFMA ({how})", tfma_seconds / seconds, LEAST_RATIO, least=True),
        claim("worst difference of a field", worst, 1e-6),
        claim("seconds for 2 million rows", many_seconds, MOST_SECONDS),
        claim("memory of 10 million rows over 2 million", memory, MOST_MEMORY_RATIO),
    ]
    print(json.dumps({"claims": claims, "machine": f"{platform.machine()} {platform.system()}"}))


def claim(name: str, value: float, bar: float, *, least: bool = False) -> dict[str, Any]:
    """Return one claim and whether it holds."""
    holds = value >= bar if least else value <= bar
    return {"name": name, "value": float(f"{value:.3g}"), "bar": bar, "holds": bool(holds)}


if __name__ == "__main__":
    main()
