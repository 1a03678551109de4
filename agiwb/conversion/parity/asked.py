"""The fresh process's side: an artifact is loaded and asked, and its answers are written."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

from agiwb.artifacts.signature import Signature
from agiwb.conversion.parity.tensor_file import Cases, read_cases, write_cases
from agiwb.errors import WorkError
from agiwb.native_memory import given_back_at_once
from agiwb.runtimes.asking import answer_batches
from agiwb.runtimes.fresh_process_child import told
from agiwb.runtimes.runtime import Runtime, Tensors, open_runtime


def answer_files(requests: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return what ``answer_file`` tells of each request, or its error as ``told`` has it."""
    replies = []
    for request in requests:
        try:
            replies.append(answer_file(**request))
        except Exception as error:  # noqa: BLE001  the others are still to be asked
            replies.append({"error": told(error)})
        gc.collect()  # one model at a time is in memory
    return replies


def answer_file(folder: str, questions: str, answers: str) -> dict[str, Any]:
    """Write what the artifact in ``folder`` answers, case by case.

    Args:
        folder: Of the artifact.
        questions: File of ``write_cases``.
        answers: File to be written in the same way.

    Returns:
        Its ``signature``, and the ``seconds`` that loading and answering took.

    Raises:
        NotFoundError: The folder holds no model.
        InputError: It cannot be loaded, or refuses the questions.
    """
    started = time.perf_counter()
    with given_back_at_once():
        runtime = open_runtime(Path(folder))
    write_cases(Path(answers), answer_cases(runtime, read_cases(Path(questions))))
    seconds = time.perf_counter() - started
    return {"signature": runtime.signature.model_dump(), "seconds": seconds}


def answer_cases(runtime: Runtime, cases: Cases) -> Cases:
    """Return the answers to each case by output; see ``answer_batches``."""
    signature = runtime.signature
    return {
        name: answer_batches(runtime, named_as_taken(case, signature))
        for name, case in cases.items()
    }


def named_as_taken(inputs: Tensors, signature: Signature) -> Tensors:
    """Return a batch under the signature's own names; a single input may have been renamed.

    Raises:
        WorkError: The artifact has other inputs than the model.
    """
    taken = [spec.name for spec in signature.inputs]
    if len(taken) == len(inputs) == 1:
        return dict(zip(taken, inputs.values(), strict=True))
    if set(taken) != set(inputs):
        raise WorkError(
            f"The artifact takes the inputs {', '.join(taken)}, and the model {', '.join(inputs)}."
        )
    return {name: inputs[name] for name in taken}
