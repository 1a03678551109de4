"""What the measuring process does: opens all candidates, and times them in turn."""

from __future__ import annotations

import gc
import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from agiwb.compression.bare_calls import Call, open_call
from agiwb.compression.whereabouts import WhereaboutsFile
from agiwb.errors import WorkError

_LOADS = 5
_WARM_UP = 3
"""Runs left out at the start of each turn, in which the caches still hold another model."""
_TURN_NS = 100e6
"""A turn takes no longer, unless it is a single run: a slow candidate's runs are all alike slow,
and would make all others wait for what its median does not need."""
_LONGEST_MESSAGE = 300
_TIME = struct.Struct("<q")


def measure(
    files: Sequence[str], folder: str, protocol: dict[str, int]
) -> dict[str, list[list[list[int]]]]:
    """Return the nanoseconds of ``load``, ``single`` and ``batch``: of each file, by block and run.

    The loads are one block. Slow files have fewer runs in a block.

    Args:
        files: The candidates' files; one may come twice.
        folder: Holds ``batch.npy``, ``(examples, *feature_shape)``.
        protocol: The fields of ``timing.LatencyProtocol``.

    Raises:
        WorkError: A file could not be loaded.
    """
    paths, batch = [Path(file) for file in files], np.load(Path(folder) / "batch.npy")
    blocks, order = protocol["blocks"], np.random.default_rng(protocol["seed"])
    whereabouts = WhereaboutsFile(Path(folder) / "whereabouts", _LOADS + 2 * blocks)
    _pin()
    _import_engines(paths)
    times = {"load": _time_loads(paths, batch[:1], order, whereabouts)}
    for kind, asked in {"single": batch[:1], "batch": batch}.items():
        calls = []
        for turn, path in enumerate(paths):
            whereabouts.take_turn(turn)
            calls.append(open_call(path, asked))
        times[kind] = _time_in_turn(calls, protocol["runs"], blocks, order, whereabouts)
    return times


def _pin() -> None:
    """Stay on the core that had least to do just now, where the system can be told so."""
    if not hasattr(os, "sched_setaffinity"):
        return
    busy = psutil.cpu_percent(interval=0.2, percpu=True)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores, key=lambda core: busy[core] if core < len(busy) else 100)})


def _import_engines(paths: Sequence[Path]) -> None:
    """Import what the files need, so that no load pays for it."""
    kinds = {path.suffix for path in paths}
    if ".tflite" in kinds:
        import ai_edge_litert.interpreter  # noqa: F401
    if ".onnx" in kinds:
        import onnxruntime  # noqa: F401

        import agiwb.runtimes.onnx  # noqa: F401


def _time_loads(
    paths: Sequence[Path],
    example: NDArray[Any],
    order: np.random.Generator,
    whereabouts: WhereaboutsFile,
) -> list[list[list[int]]]:
    """Return the times of each file's loads, in one block."""
    times: list[list[list[int]]] = [[[]] for _ in paths]
    for _ in range(_LOADS):
        for turn in order.permutation(len(paths)):
            whereabouts.take_turn(int(turn))
            times[turn][0].append(_time_load(paths[turn], example))
        whereabouts.end_round()
    return times


def _time_load(path: Path, example: NDArray[Any]) -> int:
    """Return the nanoseconds from the file to the first answer, in a process forked for it.

    This process has imported the engine but not run it, and has no thread that computes, so that
    each fork is as fresh as the first.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            begun = time.perf_counter_ns()
            open_call(path, example)
            os.write(writing, _TIME.pack(time.perf_counter_ns() - begun))
        except Exception as error:  # noqa: BLE001  whatever it is, the parent tells it
            os.write(writing, f"it failed: {error}".encode()[:_LONGEST_MESSAGE])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if len(told) != _TIME.size:
        why = " ".join(told.decode(errors="replace").split()) or f"wait status {status}"
        raise WorkError(f"The file could not be loaded anew ({why}).")
    (nanoseconds,) = _TIME.unpack(told)
    return int(nanoseconds)


def _time_in_turn(
    calls: Sequence[Call],
    runs: int,
    blocks: int,
    order: np.random.Generator,
    whereabouts: WhereaboutsFile,
) -> list[list[list[int]]]:
    """Return for each call its times, ``blocks`` rows of equal length."""
    lengths = []
    for turn, call in enumerate(calls):
        whereabouts.take_turn(turn)
        lengths.append(_runs_in_a_turn(call, runs))
    times: list[list[list[int]]] = [[] for _ in calls]
    for _ in range(blocks):
        for turn in order.permutation(len(calls)):
            whereabouts.take_turn(int(turn))
            times[turn].append(_time(calls[turn], lengths[turn]))
        whereabouts.end_round()
    return times


def _runs_in_a_turn(call: Call, most: int) -> int:
    fastest = min(_time(call, 2))
    return max(1, min(most, int(_TURN_NS / fastest)))


def _time(call: Call, runs: int) -> list[int]:
    """Return the nanoseconds of each of ``runs`` calls, Python's garbage collector off."""
    for _ in range(min(_WARM_UP, runs)):
        call()
    clock, marks = time.perf_counter_ns, []
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(runs):
            before = clock()
            call()
            marks.append(clock() - before)
    finally:
        if collecting:
            gc.enable()
    return marks
