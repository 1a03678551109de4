"""A shop's visits and reviews of texts, drawn, and requests about them as a server logs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.resolve import resolve_artifact
from agiwb.runs.store import open_store
from agiwb.runtimes.runtime import open_runtime
from agiwb.serving.prediction_log import Prediction, PredictionLog

COLUMNS = ("unit_price", "age")
"""As files call them: no format writes the blank that the table has."""
GOOD, BAD = ["great", "lovely", "superb"], ["dull", "poor", "weak"]
PLAIN = [f"word{place}" for place in range(200)]
ROWS_OF_A_REQUEST = 10

Visits = tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]


def draw_visits(rng: np.random.Generator, rows: int) -> Visits:
    """A shop's visits: who buys depends on price and age; the few with tablets are of one age."""
    device = rng.choice(["phone", "tablet", "desktop"], rows, p=[0.6, 0.1, 0.3]).astype(object)
    numbers = rng.normal(size=(rows, 2)).astype(np.float32)
    numbers[device == "tablet", 1] *= 0.2
    buys = numbers.sum(axis=1) + rng.normal(size=rows) * 0.5 > 0.5
    return device, numbers, buys


def draw_reviews(
    rng: np.random.Generator, rows: int, plain: list[str]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Reviews of plain words, with two that tell whether they are good."""
    good = rng.random(rows) < 0.5
    texts = [
        " ".join(rng.permutation([*rng.choice(plain, 9), *rng.choice(GOOD if is_it else BAD, 2)]))
        for is_it in good
    ]
    return np.array(texts, object), good


def write_shop(path: Path, rows: int) -> Path:
    """Write visits as a table."""
    device, numbers, buys = draw_visits(np.random.default_rng(0), rows)
    cells = zip(device, *numbers.T, np.where(buys, "buys", "leaves"), strict=True)
    lines = [",".join(map(str, row)) for row in cells]
    path.write_text("\n".join(["device,unit price,age,label", *lines]))
    return path


def write_reviews(path: Path, rows: int) -> Path:
    """Write reviews as a table of texts."""
    texts, good = draw_reviews(np.random.default_rng(1), rows, PLAIN)
    lines = [
        f"{text},{'good' if is_it else 'bad'}" for text, is_it in zip(texts, good, strict=True)
    ]
    path.write_text("\n".join(["text,label", *lines]))
    return path


def columns_of(device: NDArray[Any], numbers: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return visits as a model's inputs."""
    return {"device": device} | dict(zip(COLUMNS, numbers.T.copy(), strict=True))


def log_requests(
    log: PredictionLog,
    name: str,
    artifact: tuple[str, Any],
    inputs: dict[str, NDArray[Any]],
    start_s: float = 1.7e9,
) -> list[str]:
    """Log requests of ten rows, answered by an artifact, as a server would; return their ids.

    Args:
        log: Where.
        name: Served.
        artifact: The model, and its format.
        inputs: By name, each ``(rows, ...)``.
        start_s: Unix time of the first; a second a row.
    """
    runtime = open_runtime(resolve_artifact(*artifact, open_store()).folder)
    ids = []
    for start in range(0, len(next(iter(inputs.values()))), ROWS_OF_A_REQUEST):
        part = {key: values[start : start + ROWS_OF_A_REQUEST] for key, values in inputs.items()}
        ids.append(f"{start_s + start:.0f}")
        log.append(
            Prediction(
                request_id=ids[-1],
                time=start_s + start,
                model=name,
                version=1,
                inputs=part,
                outputs=runtime.run(part),
                latency_ms=1.0,
            )
        )
    return ids
