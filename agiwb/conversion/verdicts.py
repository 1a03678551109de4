"""What becomes of each draft: it is asked, described and judged, then kept or rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agiwb.artifacts.manifest import PARITY_FILE, Artifact, Format, write_artifact
from agiwb.artifacts.resolve import REJECTED
from agiwb.conversion.described import describe
from agiwb.conversion.drafts import Work, Written, give_up, write_drafts
from agiwb.conversion.parity.check import Asked, ask_artifacts, judge
from agiwb.conversion.parity.explained import divergence_if_told, with_first_divergence
from agiwb.conversion.parity.report import ParityReport, told
from agiwb.errors import AgiwbError, CancelledError, WorkError
from agiwb.runs.files import write_atomic


@dataclass(frozen=True)
class Kept:
    """An artifact that was judged, and where it lies below the run's files.

    ``diverges`` if it was kept although it did not pass.
    """

    manifest: Artifact
    report: ParityReport
    path: str
    seconds: float
    diverges: bool


def convert_all(formats: Sequence[Format], work: Work) -> tuple[list[Kept], list[str]]:
    """Return the artifacts that were judged, and in words what went wrong, in the formats' order.

    All formats are written before the first is asked, so that those which need TensorFlow can be
    asked in one process.
    """
    context = work.context
    written, problems = write_drafts(formats, work)
    work.source.let_go()  # the other process needs the memory
    context.progress("check", 0, len(formats))
    said = ask_artifacts(
        [each.draft for each in written.values()], while_waiting=context.stop_if_cancelled
    )
    kept: list[Kept] = []
    told_problems: list[str] = []
    for done, wanted in enumerate(formats, 1):
        if wanted in said:
            try:
                artifact = _judged(wanted, written[wanted], said[wanted], work)
            except CancelledError:
                raise
            except Exception as error:  # noqa: BLE001  told, unless the disk is full
                problems[wanted] = give_up(wanted, error, work)
            else:
                kept.append(artifact)
                told_problems.extend(artifact.report.problems)
                size = artifact.manifest.size_bytes
                context.say(told(artifact.report, size, kept=artifact.diverges))
        if wanted in problems:
            told_problems.append(problems[wanted])
        context.progress("check", done, len(formats))
    _remove_if_empty(work.files / REJECTED)
    return kept, told_problems


def _judged(wanted: Format, written: Written, said: Asked | AgiwbError, work: Work) -> Kept:
    """Return a draft with its parity report, moved to where references find it if it may be."""
    if isinstance(said, AgiwbError):
        raise said
    draft = written.draft.folder
    manifest = describe(
        wanted,
        draft,
        said.signature,
        work.source,
        work.lineage,
        name=work.name,
        dataset=work.dataset,
        task=work.task,
    )
    write_artifact(draft, manifest)
    asked, given = work.questions.real, work.questions_for(wanted)[0].real
    try:
        report = judge(wanted, said, work.reference)
    except WorkError as error:
        found = divergence_if_told(work.reload, draft, wanted, asked, given)
        raise (WorkError(f"{error.problem} {found}") if found else error) from None
    report = with_first_divergence(report, work.reload, draft, asked, given)
    write_atomic(draft / PARITY_FILE, report.model_dump_json(indent=2))
    diverges = bool(report.problems) and work.allow_divergence and work.reference.beats_chance
    if diverges:
        write_artifact(draft, manifest.model_copy(update={"divergence": report.problems}))
    folder = draft.rename(work.files / wanted) if report.passed or diverges else draft
    path = folder.relative_to(work.files).as_posix()
    return Kept(manifest, report, path, written.seconds, diverges)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
