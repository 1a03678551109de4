"""The convert step: a Keras model in other formats, each checked against the model."""

from __future__ import annotations

import errno
import logging
import shutil
import tempfile
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agiwb.artifacts.manifest import (
    MANIFEST_FILE,
    PARITY_FILE,
    Artifact,
    Format,
    Lineage,
    write_artifact,
)
from agiwb.artifacts.resolve import REJECTED, ArtifactSource, ModelSource, dataset_for
from agiwb.conversion.config import ConvertConfig
from agiwb.conversion.described import describe
from agiwb.conversion.exported import export_named
from agiwb.conversion.found import find_source, known_dataset, open_source, read_source
from agiwb.conversion.parity.check import ask_artifact, judge
from agiwb.conversion.parity.explained import with_first_divergence
from agiwb.conversion.parity.questions import Questions, draw_questions
from agiwb.conversion.parity.reference import Reference, ask_reference, chance_problem
from agiwb.conversion.parity.report import ParityReport, told
from agiwb.conversion.reachable import require_reachable
from agiwb.conversion.registry import KERAS_FILES, load_converter
from agiwb.conversion.source import ConversionSource
from agiwb.datasets.registry import load_dataset
from agiwb.errors import AgiwbError, CancelledError
from agiwb.native_chatter import held_back
from agiwb.runs.context import Context
from agiwb.runs.files import write_atomic
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.runs.store import RunStore

_LONGEST_MESSAGE = 400


class ConvertedArtifact(BaseModel):
    """One format that was written, and how near its answers are to the model's."""

    model_config = ConfigDict(frozen=True)

    format: Format
    path: str
    """Folder below the run's files; under ``rejected`` if the check was not passed."""
    size_bytes: int
    max_abs_error: float
    max_rel_error: float
    top1_agreement: float | None
    """Share of real examples that are decided as the model does; None for a regression."""
    kl_nats: float | None
    """Mean Kullback-Leibler divergence from the model's probabilities, if it gives such."""
    test_score: float
    """The record's ``metric`` on the test split."""
    passed: bool
    diverges: bool
    """Whether it was kept although it did not pass, as ``allow_divergence`` asks."""
    seconds: float
    """Time that writing took, without the check."""
    check_seconds: float


class ConvertRecord(Record):
    """A model's artifacts; a format that could not be written or asked is a problem only."""

    config: ConvertConfig
    model_name: str
    dataset: str
    artifacts: tuple[ConvertedArtifact, ...]
    metric: str
    """What the task is judged by: ``accuracy``, ``auc`` or ``rmse``."""
    reference_score: float
    """The metric of the Keras model itself on the test split."""


@dataclass(frozen=True)
class _Work:
    """What the conversions of one run have in common."""

    name: str
    dataset: str
    task: str
    source: ConversionSource
    lineage: Lineage
    questions: Questions
    scratch: Path
    reference: Reference
    context: Context
    allow_divergence: bool

    @property
    def files(self) -> Path:
        return self.context.files

    def questions_for(self, wanted: Format) -> tuple[Questions, Path]:
        """Return the questions as the format takes them, and the file that holds them."""
        whole = wanted in KERAS_FILES or self.source.first_layers is None
        questions = self.questions if whole else self.questions.through(self.source.prepared)
        file = self.scratch / ("questions.npz" if whole else "prepared_questions.npz")
        if not file.is_file():
            questions.write(file)
        return questions, file


def _inputs(config: ConvertConfig, store: RunStore) -> dict[str, Input]:
    found = find_source(config.model, store)
    dataset = dataset_for(config.dataset, *known_dataset(found))
    if isinstance(found, ArtifactSource):
        for wanted in config.formats:
            require_reachable(found.artifact.format, wanted)
    return {
        "model": Input(found.fingerprint, found.run_id),
        "dataset": Input(load_dataset(dataset).fingerprint),
    }


@step("convert", inputs=_inputs)
def convert(config: ConvertConfig, context: Context) -> ConvertRecord:
    """Return the record of a model written in ``config.formats``, each checked for parity.

    Each format that passes is a folder of its name: the model, ``artifact.json`` and
    ``parity.json``. What fails is named among the record's problems, and does not stop the others;
    what was written before it failed is kept below ``rejected``.

    Raises:
        NotFoundError: There is no such model, or its file cannot be loaded.
        InputError: The model does not fit the data set's examples, or there is no way from the
            source's format to one of those wanted.
        WorkError: The model's own outputs are NaN or infinite.
    """
    found = find_source(config.model, context.store)
    context.confirm("model", found.fingerprint)
    dataset = dataset_for(config.dataset, *known_dataset(found))
    data = load_dataset(dataset)
    runtime = open_source(found)
    source = read_source(found, data, config, runtime)
    name = found.artifact.name if isinstance(found, ArtifactSource) else found.name
    questions = draw_questions(data, runtime.signature, config.samples, config.seed)
    reference = ask_reference(runtime, questions)
    with tempfile.TemporaryDirectory(prefix="agiwb-convert-") as scratch:
        work = _Work(
            name,
            dataset,
            data.task,
            _exported_once(source, config.formats, Path(scratch)),
            _lineage(found),
            questions,
            Path(scratch),
            reference,
            context,
            config.allow_divergence,
        )
        artifacts, problems = _convert_all(config.formats, work)
    return ConvertRecord(
        run=context.run,
        config=config,
        metrics={f"test_{reference.metric}": reference.test_score},
        problems=(*chance_problem(reference, dataset), *problems),
        model_name=name,
        dataset=dataset,
        artifacts=tuple(artifacts),
        metric=reference.metric,
        reference_score=reference.test_score,
    )


def _convert_all(
    formats: Sequence[Format], work: _Work
) -> tuple[list[ConvertedArtifact], list[str]]:
    """Return the artifacts that were written, and in words what went wrong."""
    context = work.context
    artifacts: list[ConvertedArtifact] = []
    problems: list[str] = []
    for done, wanted in enumerate(formats):
        context.progress("convert", done, len(formats))
        try:
            artifact, report = _convert_one(wanted, work)
        except CancelledError:
            raise
        except Exception as error:
            # Converters and engines raise anything; the other formats are still wanted.
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise  # a full disk is the same for every format
            logging.getLogger("agiwb").info("The conversion to %s failed.", wanted, exc_info=True)
            draft = context.files / REJECTED / wanted
            if not (draft / MANIFEST_FILE).is_file():
                shutil.rmtree(draft, ignore_errors=True)
            problems.append(f"{wanted}: {_in_words(error)}")
            continue
        artifacts.append(artifact)
        problems.extend(report.problems)
        context.say(told(report, artifact.size_bytes, kept=artifact.diverges))
    _remove_if_empty(context.files / REJECTED)
    context.progress("convert", len(formats), len(formats))
    return artifacts, problems


def _convert_one(wanted: Format, work: _Work) -> tuple[ConvertedArtifact, ParityReport]:
    """Return the artifact in format ``wanted``, written and checked, with its parity report."""
    draft = work.files / REJECTED / wanted
    draft.mkdir(parents=True)
    started = time.perf_counter()
    with held_back():  # TensorFlow's exporters announce their sessions and passes
        load_converter(wanted)(work.source, draft)
    seconds = time.perf_counter() - started
    questions, file = work.questions_for(wanted)
    asked = ask_artifact(
        draft,
        file,
        wanted,
        tensorflow=work.source.options.allow_flex,
        while_waiting=work.context.stop_if_cancelled,
    )
    manifest = describe(
        wanted,
        draft,
        asked.signature,
        work.source,
        work.lineage,
        name=work.name,
        dataset=work.dataset,
        task=work.task,
    )
    write_artifact(draft, manifest)
    report = judge(wanted, asked, work.reference)
    if report.problems and work.source.model is not None:
        report = with_first_divergence(
            report, work.source.model, draft, work.questions.real, questions.real
        )
    write_atomic(draft / PARITY_FILE, report.model_dump_json(indent=2))
    kept = bool(report.problems) and work.allow_divergence and work.reference.beats_chance
    if kept:
        write_artifact(draft, manifest.model_copy(update={"divergence": report.problems}))
    folder = draft.rename(work.files / wanted) if report.passed or kept else draft
    path = folder.relative_to(work.files).as_posix()
    return _summary(manifest, report, path, seconds, kept=kept), report


def _exported_once(
    source: ConversionSource, formats: Sequence[Format], scratch: Path
) -> ConversionSource:
    """Return the source with the SavedModel that several formats begin with, if they do."""
    if source.named is None or len(set(formats) - set(KERAS_FILES)) <= 1:
        return source
    folder = scratch / "saved_model"
    with held_back():
        export_named(source.named, folder)
    return replace(source, saved_model=folder)


def _lineage(found: ModelSource | ArtifactSource) -> Lineage:
    if isinstance(found, ArtifactSource):
        parent = f"{found.artifact.format}:{found.fingerprint}"
        return Lineage(source_run=found.run_id, parent=parent)
    return Lineage(source_run=found.run_id)


def _in_words(error: Exception) -> str:
    """Return what an error says, on one line; converters' own may hold the whole graph."""
    sentence = " ".join(str(error).split())
    if isinstance(error, AgiwbError):
        return sentence
    return textwrap.shorten(f"{type(error).__name__}: {sentence}", _LONGEST_MESSAGE)


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _summary(
    manifest: Artifact, report: ParityReport, path: str, seconds: float, *, kept: bool
) -> ConvertedArtifact:
    return ConvertedArtifact(
        format=manifest.format,
        path=path,
        size_bytes=manifest.size_bytes,
        max_abs_error=report.max_abs_error,
        max_rel_error=report.max_rel_error,
        top1_agreement=report.top1_agreement,
        kl_nats=report.kl_nats,
        test_score=report.test_score,
        passed=report.passed,
        diverges=kept,
        seconds=seconds,
        check_seconds=report.seconds,
    )
