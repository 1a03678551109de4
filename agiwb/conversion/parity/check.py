"""Asking artifacts in a fresh process, and comparing what they answer.

TensorFlow takes many seconds to start: the artifacts that need it are asked in one process, one
after another, and those that do not in a second one, where it cannot be imported.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agiwb.artifacts.manifest import Format
from agiwb.artifacts.signature import Signature
from agiwb.conversion.parity.errors import refuse_nonfinite
from agiwb.conversion.parity.reference import Reference
from agiwb.conversion.parity.report import ParityReport, compare
from agiwb.conversion.parity.tensor_file import Cases, read_cases
from agiwb.errors import AgiwbError, WorkError
from agiwb.runtimes.asking import fixed_batch
from agiwb.runtimes.fresh_process import Limits, call_in_fresh_process, error_of

NEED_TENSORFLOW: frozenset[Format] = frozenset({"keras", "h5", "saved_model", "frozen_pb"})

_SECONDS = 300.0
_MEMORY_BYTES = 4 * 2**30
_MEMORY_PER_BYTE = 6
"""Of the model's files: engines read the file, unpack it, and lay the weights out anew."""


@dataclass(frozen=True)
class Draft:
    """An artifact that was written and not yet asked.

    Attributes:
        format: Its format.
        folder: Where it lies; it needs no manifest yet.
        questions_file: What the model was asked; see ``Questions.write``.
        tensorflow: Whether it needs TensorFlow even though its format does not, as a LiteRT file
            with Flex operators does.
    """

    format: Format
    folder: Path
    questions_file: Path
    tensorflow: bool = False


@dataclass(frozen=True)
class Asked:
    """What an artifact said in a fresh process: its signature, and its answers by case.

    ``seconds`` are those of loading and answering, without the start of the process.
    """

    signature: Signature
    answers: Cases
    seconds: float


def ask_artifacts(
    drafts: Sequence[Draft],
    *,
    limits: Limits | None = None,
    while_waiting: Callable[[], None] = lambda: None,
) -> dict[Format, Asked | AgiwbError]:
    """Return what each artifact says, loaded and asked in a fresh process, or why it does not.

    If a process crashes, hangs or takes too much memory, each of its artifacts is asked once more
    in a process of its own, so that only the one to blame fails.

    Args:
        drafts: One a format.
        limits: Of a process; by default as many times 300 s as it has artifacts, and 4 GiB beside
            6 times the size of their files.
        while_waiting: Called now and then; if it raises, the process is ended.
    """
    said: dict[Format, Asked | AgiwbError] = {}
    for tensorflow in (True, False):
        group = [draft for draft in drafts if _needs_tensorflow(draft) is tensorflow]
        if group:
            said |= _ask_group(group, limits, while_waiting, tensorflow=tensorflow)
    return said


def ask_artifact(
    folder: Path,
    questions_file: Path,
    wanted: Format,
    *,
    limits: Limits | None = None,
    while_waiting: Callable[[], None] = lambda: None,
) -> Asked:
    """Return what one artifact says; see ``ask_artifacts``.

    Raises:
        InputError: The artifact cannot be loaded, or refuses the questions.
        WorkError: It crashed, hung or took too much memory; or its inputs are not the model's.
    """
    draft = Draft(wanted, folder, questions_file)
    said = ask_artifacts([draft], limits=limits, while_waiting=while_waiting)[wanted]
    if isinstance(said, AgiwbError):
        raise said
    return said


def judge(wanted: Format, asked: Asked, reference: Reference) -> ParityReport:
    """Return how near an artifact's answers are to its model's.

    Raises:
        WorkError: It answers NaN or infinity; its outputs are not the model's; or it takes only so
            many examples at a time, and the model any number.
    """
    batch = fixed_batch(asked.signature)
    if batch is not None and reference.batch is None:
        raise WorkError(f"It takes only {batch} at a time, and the model any number of examples.")
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


def limits_for(folders: Iterable[Path]) -> Limits:
    """Return what a fresh process may take that loads the models in these folders in turn."""
    sizes = [
        sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        for folder in folders
    ]
    return Limits(_SECONDS * max(len(sizes), 1), _MEMORY_BYTES + _MEMORY_PER_BYTE * sum(sizes))


def _needs_tensorflow(draft: Draft) -> bool:
    return draft.tensorflow or draft.format in NEED_TENSORFLOW


def _ask_group(
    drafts: Sequence[Draft],
    limits: Limits | None,
    while_waiting: Callable[[], None],
    *,
    tensorflow: bool,
) -> dict[Format, Asked | AgiwbError]:
    with tempfile.TemporaryDirectory(prefix="agiwb-parity-") as scratch:
        requests = [
            {
                "folder": str(draft.folder),
                "questions": str(draft.questions_file),
                "answers": str(Path(scratch) / f"{draft.format}.npz"),
            }
            for draft in drafts
        ]
        try:
            replies = call_in_fresh_process(
                "agiwb.conversion.parity.asked:answer_files",
                {"requests": requests},
                tensorflow=tensorflow,
                limits=limits or limits_for(draft.folder for draft in drafts),
                while_waiting=while_waiting,
            )
        except WorkError as error:
            if len(drafts) == 1:
                return {drafts[0].format: error}
            alone: dict[Format, Asked | AgiwbError] = {}
            for draft in drafts:
                alone |= _ask_group([draft], limits, while_waiting, tensorflow=tensorflow)
            return alone
        return {
            draft.format: _read(reply, Path(request["answers"]))
            for draft, request, reply in zip(drafts, requests, replies, strict=True)
        }


def _read(reply: Mapping[str, Any], answers: Path) -> Asked | AgiwbError:
    if error := reply.get("error"):
        return error_of(error)
    signature = Signature.model_validate(reply["signature"])
    return Asked(signature, read_cases(answers), reply["seconds"])
