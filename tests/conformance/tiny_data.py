"""Tiny made-up data sets of every kind and task."""

from __future__ import annotations

from typing import Any

import numpy as np

from agiwb.datasets.dataset import Dataset, Kind, Split, Task

EXAMPLES = 48
_CLASSES: dict[Task, tuple[str, ...]] = {
    "classification": ("low", "middle", "high"),
    "binary": ("no", "yes"),
    "multilabel": ("red", "round", "ripe", "rotten"),
    "regression": (),
    "ranking": (),
}
_WORDS = ("the", "a", "ship", "sails", "over", "calm", "cold", "water", "captain", "sings")


def tiny_dataset(kind: Kind, task: Task) -> Dataset:
    """Return 48 examples, a quarter of them each for validation and test."""
    random = np.random.default_rng(5)
    whole = Split(_features(kind, random), _labels(task, random))
    half, quarter = EXAMPLES // 2, EXAMPLES // 4
    parts = (slice(half), slice(half, half + quarter), slice(half + quarter, None))
    rows = np.arange(EXAMPLES)
    train, validation, test = (whole.take(rows[part]) for part in parts)
    return Dataset(
        f"tiny_{kind}", _CLASSES[task], 255.0, train, validation, test, task=task, kind=kind
    )


def _features(kind: Kind, random: np.random.Generator) -> Any:
    if kind == "text":
        texts = [" ".join(random.choice(_WORDS, random.integers(1, 9))) for _ in range(EXAMPLES)]
        return np.array(["", "?!", *texts[2:]], dtype=object)  # without words
    if kind == "table":
        columns = {
            "age": random.integers(18, 90, EXAMPLES),
            "income": random.choice([np.nan, 1e5, 2e5, 3e6], EXAMPLES),
            "constant": np.full(EXAMPLES, 7.0),
            "home_town": random.choice(["Ulm", "Bonn", "", "[UNK]"], EXAMPLES),
            "job": random.choice(["cook", "nurse", "pilot"], EXAMPLES),
        }
        return _structured(columns)
    if kind == "pairs":
        return _structured(
            {
                "user": random.choice(["ann", "bob", "cem"], EXAMPLES),
                "item": random.choice(["tea", "ham", "nut", "pie"], EXAMPLES),
            }
        )
    shape = {"array": (6,), "image": (16, 16), "sequence": (7, 3)}[kind]
    return (random.random((EXAMPLES, *shape)) * 255).astype(np.float32)


def _structured(columns: dict[str, Any]) -> Any:
    types = [(name, "f4" if values.dtype.kind in "fi" else "O") for name, values in columns.items()]
    table = np.empty(EXAMPLES, dtype=types)
    for name, values in columns.items():
        table[name] = [str(value) for value in values] if values.dtype.kind == "U" else values
    return table


def _labels(task: Task, random: np.random.Generator) -> Any:
    if task == "multilabel":
        return random.integers(0, 2, (EXAMPLES, len(_CLASSES[task]))).astype(np.float32)
    if task == "regression":
        return random.normal(1000, 50, EXAMPLES).astype(np.float32)
    if task == "ranking":
        return random.integers(0, 2, EXAMPLES).astype(np.float32)
    return np.arange(EXAMPLES) % len(_CLASSES[task])
