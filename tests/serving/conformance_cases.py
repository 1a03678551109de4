"""The conformance cases in ``conformance/``, read from their files."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

FOLDER = Path(__file__).parent / "conformance"
DTYPES = {"float": "float32", "double": "float64", "half": "float16", "string": "object"}
"""NumPy's names of TensorFlow's types, where they differ."""

_NEST = re.compile(r"<nest (\d+)>")


def read_cases(name: str) -> list[Any]:
    """Return the cases of one file as parameters, each with its fact as its id."""
    cases = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
    return [pytest.param(case, id=case["fact"]) for case in cases]


def read_deviations() -> dict[str, str]:
    return yaml.safe_load((FOLDER / "deviations.yaml").read_text("utf-8"))


def body_of(case: dict[str, Any]) -> bytes:
    """Return a case's body, its nested lists written out."""
    if "base64" in case:
        return base64.b64decode(case["base64"])
    text = case.get("body", "")
    return _NEST.sub(lambda found: "[" * int(found[1]) + "]" * int(found[1]), text).encode()


def tensor_of(entry: dict[str, Any]) -> np.ndarray:
    """Return the array that a case describes; strings as text, or from base64 as bytes."""
    dtype = entry.get("dtype", "float64")
    if "base64" in entry:
        return np.array([base64.b64decode(value) for value in entry["base64"]], object)
    return np.array(entry["values"], DTYPES.get(dtype, dtype))


def is_like(expected: Any, got: Any) -> bool:
    """Return whether two JSON values are equal, numbers within float32's precision."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(
            is_like(value, got[name]) for name, value in expected.items()
        )
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(is_like, expected, got))
    numbers = int | float
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, numbers) and isinstance(got, numbers):
        return got == pytest.approx(expected, rel=1e-6, nan_ok=True)
    return expected == got
