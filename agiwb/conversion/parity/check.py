"""Asking an artifact in a fresh process, and comparing what it answers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agiwb.artifacts.manifest import Format
from agiwb.artifacts.signature import Signature
from agiwb.conversion.parity.errors import refuse_nonfinite
from agiwb.conversion.parity.reference import Reference
from agiwb.conversion.parity.report import ParityReport, compare
from agiwb.conversion.parity.tensor_file import Cases, read_cases
from agiwb.runtimes.fresh_process import Limits, call_in_fresh_process

NEED_TENSORFLOW: frozenset[Format] = frozenset({"keras", "h5", "saved_model", "frozen_pb"})


@dataclass(frozen=True)
class Asked:
    """What an artifact said in a fresh process: its signature, and its answers by case."""

    signature: Signature
    answers: Cases
    seconds: float


def ask_artifact(
    folder: Path,
    questions_file: Path,
    wanted: Format,
    *,
    tensorflow: bool = False,
    limits: Limits | None = None,
    while_waiting: Callable[[], None] = lambda: None,
) -> Asked:
    """Return what the artifact in ``folder`` says, loaded and asked in a fresh process.

    Args:
        folder: Of the artifact; it needs no manifest yet.
        questions_file: What the model was asked; see ``Questions.write``.
        wanted: The artifact's format.
        tensorflow: Whether it needs TensorFlow even though its format does not, as a LiteRT file
            with Flex operators does.
        limits: Of the fresh process.
        while_waiting: Called now and then; if it raises, the process is ended.

    Raises:
        InputError: The artifact cannot be loaded, or refuses the questions.
        WorkError: It crashed, hung or took too much memory; or its inputs are not the model's.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="agiwb-parity-") as scratch:
        answers_file = Path(scratch) / "answers.npz"
        signature = call_in_fresh_process(
            "agiwb.conversion.parity.asked:answer_file",
            {"folder": folder, "questions": questions_file, "answers": answers_file},
            tensorflow=tensorflow or wanted in NEED_TENSORFLOW,
            limits=limits,
            while_waiting=while_waiting,
        )
        answers = read_cases(answers_file)
    seconds = time.perf_counter() - started
    return Asked(Signature.model_validate(signature), answers, seconds)


def judge(wanted: Format, asked: Asked, reference: Reference) -> ParityReport:
    """Return how near an artifact's answers are to its model's.

    Raises:
        WorkError: It answers NaN or infinity; or its outputs are not the model's.
    """
    answers = {case: asked.answers[case] for case in reference.answers}
    refuse_nonfinite(answers, "the artifact's")
    report = compare(wanted, answers, reference)
    return report.model_copy(update={"seconds": asked.seconds})


def check_parity(
    folder: Path,
    questions_file: Path,
    reference: Reference,
    wanted: Format,
    limits: Limits | None = None,
) -> ParityReport:
    """Return how near the artifact in ``folder`` is to its model; see ask_artifact and judge."""
    return judge(wanted, ask_artifact(folder, questions_file, wanted, limits=limits), reference)
