"""The gate: what converts is a candidate only once its file has answered in a fresh process.

A converter's success says little. Files have come out of it that fail when they are run, that
crash the process, or that answer at random; here each shows what it does, and nobody else falls.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.stages import Precision
from agiwb.errors import AgiwbError, CancelledError, WorkError
from agiwb.runtimes.fresh_process import Limits, call_in_fresh_process
from agiwb.statistics import wilson_interval

if TYPE_CHECKING:
    import keras

    from agiwb.datasets.dataset import Split

ANSWERS_FILE = "answers.npz"
SOURCE_ANSWERS_FILE = "source_answers.npz"

_STARTING_S, _EXAMPLE_S = 120.0, 0.1
"""How long a file may take: the slowest kernels known here take 20 ms for a small image."""
_SOURCE_EXAMPLES, _SOURCE_BATCH = 512, 128

_TOLERANCES: dict[Precision, float] = {"float32": 1e-4, "float16": 1e-2}
"""Largest difference of a probability; for float32 as in Keras' own tests of its LiteRT export. All
other precisions round so coarsely that only the classes are compared."""
_LEAST_AGREEMENT = 0.8
"""What decides every fifth example otherwise is another model, whatever its accuracy is."""


@dataclass(frozen=True)
class Gate:
    """What is known of a file that has passed.

    Attributes:
        load_ms: Milliseconds from the file to the first answer. Other work may have run beside it;
            ``timing`` measures it again when none does.
        peak_memory_bytes: Largest resident memory (VmHWM) while it was loaded and answered one
            example, minus that of the same process before, its runtime imported.
    """

    load_ms: float
    peak_memory_bytes: int


def pass_gate(
    file: Path,
    validation: Split,
    test: Split,
    folder: Path,
    *,
    limits: Limits | None = None,
    while_waiting: Callable[[], None] = lambda: None,
) -> Gate:
    """Return what loading ``file`` took, once it has answered all examples of both splits.

    A fresh process without TensorFlow loads it on one thread and answers one example alone, then
    both splits, in batches if the file takes any. It leaves ``folder/answers.npz``: ``validation``
    and ``test``, each float32 ``(examples, classes)``. A file that computes the ranges of its
    activations as it runs may answer a little differently in batches of another size.

    Args:
        file: A ``.tflite`` or ``.onnx`` file.
        validation: Examples of which at least one is there.
        test: The same.
        folder: Where the answers go; it exists.
        limits: Of time and memory; by default two minutes and a tenth of a second an example, and
            4 GiB.
        while_waiting: Called now and then; if it raises, the process is ended.

    Raises:
        WorkError: The file cannot be loaded or run, crashes, takes too long or too much memory, or
            answers with something else than one row of finite numbers an example. The problem is
            one line.
    """
    limits = limits or Limits(_STARTING_S + _EXAMPLE_S * (len(validation) + len(test)))
    with tempfile.TemporaryDirectory(prefix="agiwb-gate-") as place:
        for name, split in {"validation": validation, "test": test}.items():
            np.save(Path(place) / f"{name}.npy", plain_array(split.features), allow_pickle=False)
        try:
            told = call_in_fresh_process(
                "agiwb.compression.gate_process:answer",
                {"file": file, "questions": place, "answers": folder / ANSWERS_FILE},
                limits=limits,
                while_waiting=while_waiting,
            )
        except CancelledError:
            raise
        except AgiwbError as error:
            # How to mend an input is said to users; what is run here is of our own making.
            raise WorkError(error.problem) from error
    return Gate(float(told["load_ms"]), int(told["peak_memory_bytes"]))


def store_source_answers(model: keras.Model, validation: Split, folder: Path) -> None:
    """Write what ``model`` itself answers, for ``check_against_source`` to compare with.

    ``folder/source_answers.npz`` holds ``index``, at most 512 rows of the validation split spread
    evenly over it, and ``probabilities``, float32 ``(rows, classes)``.
    """
    count = min(_SOURCE_EXAMPLES, len(validation))
    index = np.linspace(0, len(validation) - 1, count).round().astype(np.intp)
    asked = validation.features[index]
    # Called as it is: tracing a graph for so few answers takes longer than they do.
    batches = [
        np.asarray(model(asked[first : first + _SOURCE_BATCH], training=False), np.float32)
        for first in range(0, count, _SOURCE_BATCH)
    ]
    probabilities = np.concatenate(batches)
    np.savez(folder / SOURCE_ANSWERS_FILE, index=index, probabilities=probabilities)


def check_against_source(folder: Path, precision: Precision) -> None:
    """Raise unless the file answers as the Keras model that it was made from.

    Files in 32 and 16 bits are held to the probabilities, within 1e-4 and 1e-2. All others round
    coarsely: they fail if they name the model's class less often than for four examples in five,
    by more than luck explains (Wilson's 95 % interval).

    Args:
        folder: Holds ``answers.npz`` of ``pass_gate`` and what ``store_source_answers`` wrote.
        precision: ``Recipe.precision``: the numbers in the file.

    Raises:
        WorkError: It answers differently; the problem is one line.
    """
    with np.load(folder / SOURCE_ANSWERS_FILE) as stored:
        index, expected = stored["index"], stored["probabilities"]
    answers = read_answers(folder / ANSWERS_FILE)["validation"][index]
    if answers.shape != expected.shape:
        raise WorkError(
            f"Its answers have the shape {answers.shape[1:]}, those of the Keras model it was made "
            f"from {expected.shape[1:]}."
        )
    same = int((answers.argmax(axis=1) == expected.argmax(axis=1)).sum())
    if precision in _TOLERANCES:
        difference = float(np.abs(answers - expected).max())
        if difference > _TOLERANCES[precision]:
            raise WorkError(
                "It does not answer as the Keras model it was made from: probabilities differ by "
                f"up to {difference:.2g}, {_TOLERANCES[precision]:g} is allowed."
            )
    elif wilson_interval(same, len(index)).high < _LEAST_AGREEMENT:
        raise WorkError(
            "It does not answer as the Keras model it was made from: it names the same class for "
            f"{same} of {len(index)} validation examples, {_LEAST_AGREEMENT:.0%} are required."
        )


def read_answers(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the probabilities by split, each float32 ``(examples, classes)``."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def plain_array(features: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return features that can be stored as bare bytes: texts with a width, not as objects."""
    return features.astype(str) if features.dtype.kind == "O" else features
