"""What a candidate is worth, measured on the file that would be deployed.

Quality on the same test examples for all, size in bytes, and latency against the baseline's in
one run, with a second copy of the baseline in it to show how far two equal models seem to differ.
"""

from __future__ import annotations

import gc
import gzip
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import WorkError
from agiwb.runtimes.asking import answer_all
from agiwb.runtimes.litert import LiteRTRuntime
from agiwb.statistics import Interval, mcnemar_p_value, wilson_interval

Speed = Literal["faster", "slower", "same"]

SMALLEST_CLAIM = 1.02
"""Ratio of two times below which no difference is claimed, however narrow its interval."""

_WARM_UP = 3
"""Runs left out at the start of each block, in which the caches still hold another model."""
_RESAMPLES = 2000
_TWIN = "the baseline again"


@dataclass(frozen=True)
class Size:
    """Bytes of a file, as it is and after ``gzip -9``, which is how it would travel."""

    size_bytes: int
    gzip_bytes: int


@dataclass(frozen=True)
class Quality:
    """How often a candidate is right, and where it differs from the baseline.

    Attributes:
        accuracy: Share of the test examples it gets right, with its 95 % Wilson interval.
        worse: Test examples that only the baseline gets right.
        better: Test examples that only the candidate gets right.
        p_value: McNemar's, that the two err alike.
        agreement: Share of the test examples for which both name the same class.
    """

    accuracy: float
    interval: Interval
    worse: int
    better: int
    p_value: float
    agreement: float


@dataclass(frozen=True)
class Latency:
    """Time of one inference of one example on one thread.

    Attributes:
        p50_ms: Median over all runs, in milliseconds.
        ratio: Median over the blocks of the candidate's median divided by the baseline's.
        interval: Its 95 % interval, from resampling whole blocks.
        speed: What may be claimed: ``faster`` or ``slower`` only if all of the interval lies
            beyond what the baseline's twin shows; see ``noise_floor``.
    """

    p50_ms: float
    ratio: float
    interval: Interval
    speed: Speed


@dataclass(frozen=True)
class LatencyProtocol:
    """How latency is measured: ``runs`` inferences of each candidate in each of ``blocks``."""

    blocks: int
    runs: int
    seed: int


@dataclass(frozen=True)
class LatencyReport:
    """The latencies by name, the ratio found between the baseline and itself, and the floor."""

    by_name: dict[str, Latency]
    noise_ratio: float
    floor: float


def measure_size(path: Path) -> Size:
    """Return the size of the file at ``path``."""
    content = path.read_bytes()
    return Size(len(content), len(gzip.compress(content, 9, mtime=0)))


def predict(path: Path, features: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the class that the ``.tflite`` file at ``path`` gives to each example.

    Raises:
        InputError: It cannot be loaded.
        RuntimeError: It cannot be run.
        WorkError: It answers something else than finite probabilities for each example.
    """
    answers = answer_all(LiteRTRuntime(path, 1), features)
    _open(path, features[:1])()  # as its latency is measured; it may fail where a batch does not
    if len(answers) != len(features) or not np.isfinite(answers).all():
        raise WorkError("It loads and runs, but its answers are not finite numbers.")
    classes: NDArray[np.int64] = answers.argmax(axis=1).astype(np.int64)
    return classes


def chance_level(labels: NDArray[np.int64]) -> float:
    """Return the accuracy of always naming the most frequent class."""
    return float(np.bincount(labels).max() / len(labels))


def compare_quality(
    predicted: NDArray[np.int64], baseline: NDArray[np.int64], labels: NDArray[np.int64]
) -> Quality:
    """Return the quality of predicted classes beside the baseline's on the same examples."""
    right, baseline_right = predicted == labels, baseline == labels
    worse = int(np.sum(baseline_right & ~right))
    better = int(np.sum(right & ~baseline_right))
    return Quality(
        accuracy=float(right.mean()),
        interval=wilson_interval(int(right.sum()), len(labels)),
        worse=worse,
        better=better,
        p_value=mcnemar_p_value(worse, better),
        agreement=float((predicted == baseline).mean()),
    )


def measure_latency(
    files: Mapping[str, Path],
    baseline: str,
    example: NDArray[np.float32],
    protocol: LatencyProtocol,
    progress: Callable[[int, int], None],
) -> LatencyReport:
    """Return the latency of each file in ``files``, the ``baseline`` among them.

    Each round visits all candidates and the baseline's twin in a new random order, so that a slow
    moment of the machine strikes all alike. What is timed is the interpreter alone, without the
    copying of inputs and outputs.

    Args:
        files: The ``.tflite`` file of each candidate by name.
        baseline: Name of the one to compare with.
        example: A real example, float32 ``(1, *feature_shape)``.
        protocol: How often to measure.
        progress: Told after each round how many of all rounds are done.
    """
    invoke = {name: _open(path, example) for name, path in files.items()}
    invoke[_TWIN] = _open(files[baseline], example)
    shuffle = np.random.default_rng(protocol.seed)
    times: dict[str, list[list[int]]] = {name: [] for name in invoke}
    for block in range(protocol.blocks):
        for name in shuffle.permutation(list(invoke)):
            times[name].append(_time(invoke[name], protocol.runs))
        progress(block + 1, protocol.blocks)
    milliseconds = {name: np.array(rows) / 1e6 for name, rows in times.items()}
    return compare_latency(milliseconds, baseline, _TWIN, protocol.seed)


def compare_latency(
    times_ms: Mapping[str, NDArray[np.float64]], baseline: str, twin: str, seed: int
) -> LatencyReport:
    """Return what the times say.

    Args:
        times_ms: For each name, milliseconds of shape ``(blocks, runs)``; row n of every name
            was measured in the same round.
        baseline: The name to compare with.
        twin: The name of the second copy of the baseline; it is not in the result.
        seed: Of the resampling.
    """
    medians = {name: np.median(times, axis=1) for name, times in times_ms.items()}
    ratios = {name: median / medians[baseline] for name, median in medians.items()}
    intervals = {name: _block_bootstrap(values, seed) for name, values in ratios.items()}
    floor = noise_floor(intervals[twin])
    by_name = {
        name: Latency(
            p50_ms=float(np.median(times)),
            ratio=float(np.median(ratios[name])),
            interval=intervals[name],
            speed=claim_speed(intervals[name], floor),
        )
        for name, times in times_ms.items()
        if name != twin
    }
    return LatencyReport(by_name, float(np.median(ratios[twin])), floor)


def noise_floor(twin: Interval) -> float:
    """Return how many times slower, or faster, something must be to be called so; above 1.

    It is the end of the twin's interval that lies farther from 1. The twin's ratio alone would
    not do: it is a single draw of what the place in memory does to two equal models, and can be 1
    by luck. With it, up to 3 in 60 measurements of a copy of the baseline ended in a claim; with
    this floor, none.
    """
    return max(SMALLEST_CLAIM, twin.high, 1 / twin.low)


def claim_speed(interval: Interval, floor: float) -> Speed:
    """Return which difference may be claimed: one that lies beyond ``floor`` as a whole."""
    if interval.high < 1 / floor:
        return "faster"
    return "slower" if interval.low > floor else "same"


def _block_bootstrap(ratios: NDArray[np.float64], seed: int) -> Interval:
    """Return the 95 % percentile interval of the median (Efron 1979), blocks drawn whole.

    The runs within a block share the machine's state and are no independent witnesses; the blocks
    nearly are. One seed for all draws the same blocks for each candidate.
    """
    drawn = np.random.default_rng(seed).integers(len(ratios), size=(_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[drawn], axis=1), [2.5, 97.5])
    return Interval(float(low), float(high))


def _open(path: Path, example: NDArray[np.float32]) -> Callable[[], Any]:
    """Return the bare inference on one thread, with ``example`` in place."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, example.shape)  # sizes left free are 1 until told
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, example)
    invoke: Callable[[], Any] = interpreter.invoke
    return invoke


def _time(invoke: Callable[[], Any], runs: int) -> list[int]:
    """Return the nanoseconds of each of ``runs`` calls, Python's garbage collector off."""
    for _ in range(_WARM_UP):
        invoke()
    clock, marks = time.perf_counter_ns, []
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(runs):
            before = clock()
            invoke()
            marks.append(clock() - before)
    finally:
        if collecting:
            gc.enable()
    return marks
