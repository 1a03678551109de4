"""Is a quantized model wrong, or only wrong on this processor?

The same file is run twice on the same samples: optimised, when ONNX Runtime replaces the pairs of
QuantizeLinear and DequantizeLinear with 8-bit kernels, and with all optimisations off, when it
emulates them in floats. Where the two differ, the kernels saturate; where they agree and the float
model was better, the quantization itself loses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import INPUT_NAME
from agiwb.errors import InputError
from agiwb.statistics import mcnemar_p_value

Cause = Literal["none", "saturation", "quantization"]

Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From features ``(examples, *feature_shape)`` to probabilities ``(examples, classes)``."""

_WHOLE_NUMBERS = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
"""Of the files that take tokens."""

_SIGNIFICANT = 0.05
_DIFFERENT_DECISIONS = 0.02
"""Share of examples decided otherwise by kernels than by their emulation: rounding alone decides
a few borderline cases otherwise, saturation many more."""


@dataclass(frozen=True)
class SaturationCheck:
    """What the two runs said.

    Attributes:
        examples: How many were run.
        float_accuracy: Of the model before quantization; None if it was not given.
        emulated_accuracy: Of the quantized file, computed in floats.
        optimised_accuracy: Of the quantized file, with this processor's 8-bit kernels.
        disagreement: Share of examples that the two decide differently.
        largest_difference: Between their probabilities.
        cause: What costs accuracy.
        verdict: The same in a sentence or two, with what to do.
    """

    examples: int
    float_accuracy: float | None
    emulated_accuracy: float
    optimised_accuracy: float
    disagreement: float
    largest_difference: float
    cause: Cause
    verdict: str


def check_saturation(
    quantized: Path,
    original: Path | None,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> SaturationCheck:
    """Return whether this processor's 8-bit kernels compute what ``quantized`` says.

    Args:
        quantized: The quantized ``.onnx`` file.
        original: The float model it was made from; without it, what the quantization itself costs
            is not judged.
        features: Real samples, float32 ``(examples, *feature_shape)``; validation samples, since
            something is decided with them.
        labels: Their classes, ``(examples,)``.

    Raises:
        InputError: There are no samples.
    """
    return compare_runs(
        open_session(quantized, optimised=True),
        open_session(quantized, optimised=False),
        None if original is None else open_session(original, optimised=True),
        features,
        labels,
    )


def compare_runs(
    optimised: Answer,
    emulated: Answer,
    original: Answer | None,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> SaturationCheck:
    """Return what follows from the answers of the three; see ``check_saturation``.

    Differences in accuracy are claimed on a paired test (McNemar) at 5 %.
    """
    if not len(labels):
        raise InputError("There are no samples to compare runs on.", "Give some hundred of them.")
    fast, slow = optimised(features), emulated(features)
    fast_right, slow_right = (answers.argmax(axis=1) == labels for answers in (fast, slow))
    exact_right = None if original is None else original(features).argmax(axis=1) == labels
    differing = float(np.mean(fast.argmax(axis=1) != slow.argmax(axis=1)))
    saturates = differing > _DIFFERENT_DECISIONS or _loses(slow_right, fast_right)
    loses = exact_right is not None and _loses(exact_right, slow_right)
    accuracies = _Accuracies(
        optimised=float(np.mean(fast_right)),
        emulated=float(np.mean(slow_right)),
        floats=None if exact_right is None else float(np.mean(exact_right)),
    )
    cause: Cause = "saturation" if saturates else "quantization" if loses else "none"
    return SaturationCheck(
        examples=len(labels),
        float_accuracy=accuracies.floats,
        emulated_accuracy=accuracies.emulated,
        optimised_accuracy=accuracies.optimised,
        disagreement=differing,
        largest_difference=float(np.abs(fast - slow).max()),
        cause=cause,
        verdict=_verdict(cause, accuracies, differing, loses),
    )


def verdict_on(quantized: str, samples: str) -> str:
    """Return the verdict of ``check_saturation`` without the float model; for a fresh process.

    Args:
        quantized: Path of the quantized ``.onnx`` file.
        samples: Folder with ``features.npy`` and ``labels.npy``.
    """
    folder = Path(samples)
    features, labels = (np.load(folder / f"{name}.npy") for name in ("features", "labels"))
    return check_saturation(Path(quantized), None, features, labels).verdict


def open_session(path: Path, *, optimised: bool) -> Answer:
    """Return the model of an ``.onnx`` file as a function, on one thread of the processor.

    Args:
        path: The file.
        optimised: Let ONNX Runtime use its 8-bit kernels; otherwise it runs each operator as it
            stands in the file.
    """
    import onnxruntime

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    whole = _WHOLE_NUMBERS.get(session.get_inputs()[0].type)

    def answer(features: NDArray[np.float32]) -> NDArray[np.float32]:
        asked = {INPUT_NAME: features.astype(whole) if whole else features}
        probabilities: NDArray[np.float32] = session.run(None, asked)[0]
        return probabilities

    return answer


def _loses(better: NDArray[np.bool_], worse: NDArray[np.bool_]) -> bool:
    """Return whether the second is right significantly less often than the first."""
    lost, won = int(np.sum(better & ~worse)), int(np.sum(worse & ~better))
    return lost > won and mcnemar_p_value(lost, won) < _SIGNIFICANT


@dataclass(frozen=True)
class _Accuracies:
    optimised: float
    emulated: float
    floats: float | None


def _verdict(cause: Cause, accuracies: _Accuracies, differing: float, loses: bool) -> str:
    fast, slow = accuracies.optimised, accuracies.emulated
    if cause == "saturation":
        also = " The quantization itself costs accuracy as well." if loses else ""
        return (
            f"This processor's 8-bit kernels saturate: they decide {differing:.1%} of the samples "
            f"differently from the same file computed in floats ({fast:.1%} right instead of "
            f"{slow:.1%}).{also} Quantize with reduce_range, or without per_channel."
        )
    if accuracies.floats is None:
        return (
            "This processor's 8-bit kernels compute what the file says: they decide "
            f"{differing:.1%} of the samples differently from the same file computed in floats."
        )
    if cause == "quantization":
        return (
            f"The kernels compute what the file says; it is the quantization that loses: "
            f"{slow:.1%} right instead of {accuracies.floats:.1%}. Calibrate with more samples or "
            f"another method, leave the most sensitive layers in floats, or train with "
            f"quantization."
        )
    return (
        f"The kernels compute what the file says, and no loss can be told: {fast:.1%} right, "
        f"{accuracies.floats:.1%} in floats."
    )
