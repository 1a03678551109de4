"""The convert step: a Keras model in other formats, each checked against the model."""

from __future__ import annotations

import errno
import logging
import shutil
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agiwb.artifacts.manifest import (
    MANIFEST_FILE,
    MODEL_FILES,
    PARITY_FILE,
    Artifact,
    Format,
    list_model_files,
    write_artifact,
)
from agiwb.artifacts.resolve import REJECTED, dataset_for, resolve_model
from agiwb.config import Config
from agiwb.conversion.parity import (
    ParityReport,
    Questions,
    Reference,
    ask,
    ask_reference,
    compare,
    draw_questions,
)
from agiwb.conversion.registry import load_converter
from agiwb.conversion.source import ConversionSource, load_source
from agiwb.datasets.registry import DatasetName, load_arrays_of_classes
from agiwb.errors import AgiwbError
from agiwb.native_chatter import held_back
from agiwb.runs.context import Context
from agiwb.runs.files import write_atomic
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.runs.store import RunStore
from agiwb.runtimes.keras import KerasRuntime
from agiwb.runtimes.runtime import open_runtime

_LONGEST_MESSAGE = 400


class ConvertConfig(Config):
    """What decides a conversion."""

    model: str = Field(
        "latest", description="Model: a registered name, a run, `latest`, or a .keras file."
    )
    formats: tuple[Format, ...] = Field(
        tuple(MODEL_FILES), min_length=1, description="Formats to write."
    )
    dataset: DatasetName | None = Field(
        None, description="Data set for the parity check; by default the one trained on."
    )
    samples: int = Field(
        256, ge=1, le=1_000_000, description="Most validation examples in the parity check."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of the draw of these examples.")

    @field_validator("formats")
    @classmethod
    def _without_repeats(cls, formats: tuple[Format, ...]) -> tuple[Format, ...]:
        return tuple(dict.fromkeys(formats))


class ConvertedArtifact(BaseModel):
    """One format that was written, and how near its answers are to the model's."""

    model_config = ConfigDict(frozen=True)

    format: Format
    path: str
    """Folder below the run's files; under ``rejected`` if the check was not passed."""
    size_bytes: int
    max_abs_error: float
    max_rel_error: float
    top1_agreement: float
    test_accuracy: float
    passed: bool
    seconds: float
    """Time that writing took, without the check."""


class ConvertRecord(Record):
    """A model's artifacts; a format that could not be written or asked is a problem only."""

    config: ConvertConfig
    model_name: str
    dataset: str
    artifacts: tuple[ConvertedArtifact, ...]
    reference_accuracy: float
    """Share of the test split that the Keras model itself has right."""


@dataclass(frozen=True)
class _Work:
    """What the conversions of one run have in common."""

    name: str
    dataset: str
    source: ConversionSource
    questions: Questions
    reference: Reference
    files: Path


def _inputs(config: ConvertConfig, store: RunStore) -> dict[str, Input]:
    found = resolve_model(config.model, store)
    dataset = dataset_for(config.dataset, found.dataset, str(found.path))
    return {
        "model": Input(found.fingerprint, found.run_id),
        "dataset": Input(load_arrays_of_classes(dataset, "A conversion").fingerprint),
    }


@step("convert", inputs=_inputs)
def convert(config: ConvertConfig, context: Context) -> ConvertRecord:
    """Return the record of a model written in ``config.formats``, each checked for parity.

    Each format that passes is a folder of its name: the model, ``artifact.json`` and
    ``parity.json``. What fails is named among the record's problems, and does not stop the others;
    what was written before it failed is kept below ``rejected``.

    Raises:
        NotFoundError: There is no such model, or its file cannot be loaded.
        InputError: The model is no classifier of the data set's examples.
        WorkError: The model's own outputs are NaN or infinite.
    """
    found = resolve_model(config.model, context.store)
    context.confirm("model", found.fingerprint)
    dataset = dataset_for(config.dataset, found.dataset, str(found.path))
    data = load_arrays_of_classes(dataset, "A conversion")
    source = load_source(found, data)
    questions = draw_questions(data, config.samples, config.seed)
    reference = ask_reference(KerasRuntime(found.path), questions)
    work = _Work(found.name, dataset, source, questions, reference, context.files)

    artifacts: list[ConvertedArtifact] = []
    problems = _chance_problem(reference, dataset)
    for done, wanted in enumerate(config.formats):
        context.progress("convert", done, len(config.formats))
        try:
            artifact, report = _convert_one(wanted, work)
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
    _remove_if_empty(context.files / REJECTED)
    context.progress("convert", len(config.formats), len(config.formats))
    return ConvertRecord(
        run=context.run,
        config=config,
        metrics={"test_accuracy": reference.answers.test_accuracy},
        problems=tuple(problems),
        model_name=found.name,
        dataset=dataset,
        artifacts=tuple(artifacts),
        reference_accuracy=reference.answers.test_accuracy,
    )


def _convert_one(wanted: Format, work: _Work) -> tuple[ConvertedArtifact, ParityReport]:
    """Return the artifact in format ``wanted``, written and checked, with its parity report."""
    draft = work.files / REJECTED / wanted
    draft.mkdir(parents=True)
    started = time.perf_counter()
    with held_back():  # TensorFlow's exporters announce their sessions and passes
        load_converter(wanted)(work.source, draft)
    seconds = time.perf_counter() - started
    runtime = open_runtime(draft)
    manifest = Artifact(
        format=wanted,
        name=work.name,
        dataset=work.dataset,
        classes=work.source.classes,
        signature=runtime.signature,
        source_sha256=work.source.sha256,
        files=list_model_files(draft),
    )
    write_artifact(draft, manifest)
    report = compare(wanted, ask(runtime, work.questions), work.reference)
    write_atomic(draft / PARITY_FILE, report.model_dump_json(indent=2))
    folder = draft.rename(work.files / wanted) if report.passed else draft
    return _summary(manifest, report, folder.relative_to(work.files).as_posix(), seconds), report


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
    manifest: Artifact, report: ParityReport, path: str, seconds: float
) -> ConvertedArtifact:
    return ConvertedArtifact(
        format=manifest.format,
        path=path,
        size_bytes=manifest.size_bytes,
        max_abs_error=report.max_abs_error,
        max_rel_error=report.max_rel_error,
        top1_agreement=report.top1_agreement,
        test_accuracy=report.test_accuracy,
        passed=report.passed,
        seconds=seconds,
    )


def _chance_problem(reference: Reference, dataset: str) -> list[str]:
    """Return one sentence if agreement with the model would prove nothing, else none."""
    if reference.beats_chance:
        return []
    low, high = reference.accuracy
    sentence = (
        f"The model is no better than chance on {dataset}: its validation accuracy is between "
        f"{low:.3f} and {high:.3f} (95 % interval), and always naming the largest class has "
        f"{reference.chance:.3f}. No artifact of it passes."
    )
    return [sentence]
