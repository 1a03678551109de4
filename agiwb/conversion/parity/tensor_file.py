"""Named arrays in a file, by case: how questions and answers travel between processes.

A NumPy archive without pickles. Texts are their UTF-8 bytes, one after another, and their lengths.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.runtimes.runtime import Tensors

Cases = dict[str, Tensors]
"""Arrays by name, for each of several cases; the first dimension of each array is the batch."""

_INDEX = "index"


def write_cases(path: Path, cases: Mapping[str, Mapping[str, NDArray[Any]]]) -> None:
    """Write the cases; texts are str or bytes in arrays of objects."""
    index: list[tuple[str, str, bool, tuple[int, ...]]] = []
    parts: dict[str, NDArray[Any]] = {}
    for case, tensors in cases.items():
        for name, array in tensors.items():
            key, is_text = f"a{len(index)}", array.dtype.kind in "OSU"
            index.append((case, name, is_text, array.shape))
            if is_text:
                texts = [
                    value if isinstance(value, bytes) else str(value).encode()
                    for value in array.ravel().tolist()
                ]
                parts[key] = np.frombuffer(b"".join(texts), np.uint8)
                parts[f"{key}_lengths"] = np.fromiter(map(len, texts), np.int64, len(texts))
            else:
                parts[key] = array
    parts[_INDEX] = np.frombuffer(json.dumps(index).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **parts)


def read_cases(path: Path) -> Cases:
    """Return the cases of a file; texts come back as str objects."""
    cases: Cases = {}
    with np.load(path, allow_pickle=False) as archive:
        for number, (case, name, is_text, shape) in enumerate(
            json.loads(archive[_INDEX].tobytes())
        ):
            array = archive[f"a{number}"]
            if is_text:
                array = _texts(array.tobytes(), archive[f"a{number}_lengths"]).reshape(shape)
            cases.setdefault(case, {})[name] = array
    return cases


def _texts(content: bytes, lengths: NDArray[np.int64]) -> NDArray[Any]:
    ends = np.cumsum(lengths).tolist()
    texts = np.empty(len(ends), object)
    texts[:] = [
        content[end - length : end].decode("utf-8", "replace")
        for end, length in zip(ends, lengths.tolist(), strict=True)
    ]
    return texts
