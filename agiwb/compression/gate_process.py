"""What the gate's fresh process does: load one file, answer, and tell what that took.

It imports NumPy and the one runtime that the file needs, so that it starts in a fraction of a
second and shows what a user without TensorFlow would see.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError, WorkError
from agiwb.runtimes.asking import answer_all
from agiwb.runtimes.checking import first_sentence
from agiwb.runtimes.runtime import Runtime

_TABLE = 2
_RUNTIMES = {
    ".tflite": ("ai_edge_litert.interpreter", "agiwb.runtimes.litert", "LiteRTRuntime"),
    ".onnx": ("onnxruntime", "agiwb.runtimes.onnx", "OnnxRuntime"),
}


def answer(file: str, questions: str, answers: str) -> dict[str, float]:
    """Return ``load_ms`` and ``peak_memory_bytes``; see ``gate.Gate``.

    Args:
        file: The model's file.
        questions: Folder with ``validation.npy`` and ``test.npy``.
        answers: The ``.npz`` file to write.

    Raises:
        InputError: The file cannot be loaded, or takes other examples.
        WorkError: It fails when it is run, or its answers are not finite rows.
    """
    splits = {
        name: np.load(Path(questions) / f"{name}.npy", mmap_mode="r")
        for name in ("validation", "test")
    }
    example = np.array(splits["validation"][:1])
    engine, module, attribute = _RUNTIMES[Path(file).suffix]
    importlib.import_module(engine)
    opener = getattr(importlib.import_module(module), attribute)
    _forget_peak()
    empty = _peak_memory()
    begun = time.perf_counter()
    runtime = opener(Path(file), 1)
    _ask(runtime, example, batch_size=1)
    load_ms = 1e3 * (time.perf_counter() - begun)
    peak = _peak_memory() - empty
    validation, test = (_answers(runtime, asked) for asked in splits.values())
    np.savez(answers, validation=validation, test=test)
    return {"load_ms": load_ms, "peak_memory_bytes": max(0, peak)}


def _answers(runtime: Runtime, features: NDArray[Any]) -> NDArray[np.float32]:
    try:
        found = answer_all(runtime, features)
    except InputError:  # it may be built for single examples
        found = _ask(runtime, features, batch_size=1)
    if found.ndim != _TABLE or len(found) != len(features):
        raise WorkError(
            f"It loads and runs, but answers {len(features)} examples with the shape {found.shape}."
        )
    broken = int((~np.isfinite(found)).any(axis=1).sum())
    if broken:
        raise WorkError(
            "It loads and runs, but its answers are not finite numbers for "
            f"{broken} of {len(found)} examples."
        )
    return found


def _ask(runtime: Runtime, features: NDArray[Any], batch_size: int) -> NDArray[np.float32]:
    try:
        return answer_all(runtime, features, batch_size)
    except InputError as error:
        if error.__cause__ is None:
            raise
        # The runtimes' own words blame the batch; this one is known to be right.
        said = first_sentence(Exception(error.__cause__))
        raise WorkError(f"It loads, but fails when it is run: {said}") from error


def _forget_peak() -> None:
    """Let the peak begin anew from what is resident now; imports may have had a higher one."""
    # Where it cannot be, a model that takes less than the imports did at their peak counts as 0.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")


def _peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text("ascii", errors="replace").splitlines()
    except OSError:  # not Linux
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = next(line for line in lines if line.startswith("VmHWM:"))
    return 1024 * int(peak.split()[1])
