"""What a challenger has to keep to besides being right: golden answers, size, speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.artifacts.resolve import ArtifactSource
from agiwb.compression.timing import LatencyProtocol, TimingError, measure_latency
from agiwb.conversion.prepared import prepared_inputs
from agiwb.datasets.dataset import Dataset
from agiwb.runtimes.asking import answer_batches
from agiwb.runtimes.runtime import Tensors, open_runtime

_GOLDEN_ROWS = 32
_TOLERANCE = 1e-4
"""Largest difference of a golden answer, relative above 1, between a batch and single rows."""
_TIMED = (".onnx", ".tflite")
_PROTOCOL = LatencyProtocol(blocks=20, runs=30, seed=0)

Outcome = Literal["passed", "failed", "not enough evidence", "not measured"]


class Check(BaseModel):
    """One thing that was looked at, and what came of it, in a sentence."""

    model_config = ConfigDict(frozen=True)

    name: str
    outcome: Outcome
    sentence: str
    labels_needed: int | None = None
    """About how many more labels would settle it, where it is open."""


def check_golden(challenger: ArtifactSource, champion: ArtifactSource, data: Dataset) -> Check:
    """Return whether the challenger's file can stand where the champion's does.

    It takes and gives the same names, dtypes and shapes and means the same classes; it was found
    to answer as the model that it was made from; and to the golden batch, rows spread evenly over
    the test split, it gives the same finite numbers asked at once, one by one, and once more.
    """
    problem = next(_golden_problems(challenger, champion, data), None)
    if problem:
        return Check(name="golden batch", outcome="failed", sentence=problem)
    return Check(
        name="golden batch",
        outcome="passed",
        sentence="It takes and gives what the champion does, and answers the golden batch alike "
        "at once, one by one, and once more.",
    )


def _golden_problems(
    challenger: ArtifactSource, champion: ArtifactSource, data: Dataset
) -> Iterator[str]:
    ours, theirs = challenger.artifact, champion.artifact
    if ours.signature != theirs.signature:
        yield (
            f"Clients would meet another signature: {ours.signature}, the champion's is "
            f"{theirs.signature}."
        )
    if ours.classes != theirs.classes:
        yield f"It knows the classes {ours.classes}, the champion {theirs.classes}."
    if ours.divergence:
        yield f"It does not answer as the model it was made from: {ours.divergence}"
    golden = data.test.sample(_GOLDEN_ROWS).features
    runtime = open_runtime(challenger.folder)

    inputs = prepared_inputs(challenger, runtime.signature, golden, data.name)

    def asked(rows: slice) -> Tensors:
        return answer_batches(runtime, {name: values[rows] for name, values in inputs.items()})

    whole = asked(slice(None))
    broken = [name for name, values in whole.items() if not _is_finite(values)]
    if broken:
        yield f"It answers the golden batch with NaN or infinity ({', '.join(broken)})."
    if not _alike(whole, asked(slice(None))):
        yield "It does not answer the golden batch twice alike."
    single = [asked(slice(row, row + 1)) for row in range(len(golden))]
    joined = {name: np.concatenate([one[name] for one in single]) for name in whole}
    if not _alike(whole, joined):
        yield "It answers rows of the golden batch otherwise alone than together."


def check_size(challenger: ArtifactSource, champion: ArtifactSource, limit: float) -> Check:
    """Return whether the challenger's files are at most ``limit`` times as large."""
    ours, theirs = (
        sum(file.size_bytes for file in source.artifact.files) for source in (challenger, champion)
    )
    ratio = ours / max(theirs, 1)
    return Check(
        name="size",
        outcome="passed" if ratio <= limit else "failed",
        sentence=f"{ours:,} bytes, {ratio:.2f} times the champion's; the limit is {limit:g}.",
    )


def check_latency(
    challenger: ArtifactSource,
    champion: ArtifactSource,
    data: Dataset,
    limit: float,
    progress: Callable[[int, int], None],
) -> Check:
    """Return whether one answer takes at most ``limit`` times as long, as far as can be told.

    Both are timed in turns in a process of their own. It fails if the 95 % interval of the ratio
    lies above the limit as a whole.
    """
    files = {
        role: source.folder / MODEL_FILES[source.artifact.format]
        for role, source in {"champion": champion, "challenger": challenger}.items()
    }
    if any(file.suffix not in _TIMED for file in files.values()):
        return Check(
            name="latency",
            outcome="not measured",
            sentence=f"Latency is measured of {' and '.join(_TIMED)} files.",
        )
    try:
        examples = data.test.sample(_GOLDEN_ROWS).features
        report = measure_latency(files, "champion", examples, _PROTOCOL, progress)
    except TimingError as error:
        return Check(name="latency", outcome="failed", sentence=str(error))
    found = report.single.by_name["challenger"]
    slow = found.interval.low > limit
    return Check(
        name="latency",
        outcome="failed" if slow else "passed",
        sentence=f"{found.p50_ms:.3f} ms for one row, {found.ratio:.2f} times the champion's "
        f"({found.interval.low:.2f} to {found.interval.high:.2f}); the limit is {limit:g}.",
    )


def _is_finite(values: np.ndarray) -> bool:
    return values.dtype.kind != "f" or bool(np.isfinite(values).all())


def _alike(first: Tensors, second: Tensors) -> bool:
    for name, values in first.items():
        if values.dtype.kind != "f":
            if not np.array_equal(values, second[name]):
                return False
        elif not np.allclose(values, second[name], rtol=_TOLERANCE, atol=_TOLERANCE):
            return False
    return True
