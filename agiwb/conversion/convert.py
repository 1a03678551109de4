"""The convert step: a Keras model in other formats, each checked against the model."""

from __future__ import annotations

import functools
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from agiwb.artifacts.any_format import find_source
from agiwb.artifacts.manifest import Format, Lineage
from agiwb.artifacts.resolve import ArtifactSource, ModelSource, dataset_for
from agiwb.conversion.config import ConvertConfig
from agiwb.conversion.drafts import Work, exported_once
from agiwb.conversion.found import known_dataset, open_source, read_source
from agiwb.conversion.parity.check import NEED_TENSORFLOW
from agiwb.conversion.parity.questions import draw_questions
from agiwb.conversion.parity.reference import ask_reference, chance_problem
from agiwb.conversion.reachable import require_reachable
from agiwb.conversion.verdicts import Kept, convert_all
from agiwb.datasets.registry import load_dataset
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, nothing_ahead, step
from agiwb.runs.store import RunStore
from agiwb.runtimes.fresh_process import tensorflow_ahead

if TYPE_CHECKING:
    import keras


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
    test_score: float | None
    """The record's ``metric`` on the test split; None if answers were only compared."""
    passed: bool
    diverges: bool
    """Whether it was kept although it did not pass, as ``allow_divergence`` asks."""
    seconds: float
    """Time that writing took, without the check."""
    check_seconds: float
    """Time that loading it and asking it took, in a process that was running already."""


class ConvertRecord(Record):
    """A model's artifacts; a format that could not be written or asked is a problem only."""

    config: ConvertConfig
    model_name: str
    dataset: str
    artifacts: tuple[ConvertedArtifact, ...]
    metric: str | None
    """What the task is judged by: ``accuracy``, ``auc`` or ``rmse``; None without a score."""
    reference_score: float | None
    """The metric of the Keras model itself on the test split, if there is one."""


def _inputs(config: ConvertConfig, store: RunStore) -> dict[str, Input]:
    found = find_source(config.model, store)
    dataset = dataset_for(config.dataset, known_dataset(found), config.model)
    if isinstance(found, ArtifactSource):
        for wanted in config.formats:
            require_reachable(found.artifact.format, wanted)
    return {
        "model": Input(found.fingerprint, found.run_id),
        "dataset": Input(load_dataset(dataset).fingerprint),
    }


def _ahead(config: ConvertConfig) -> AbstractContextManager[None]:
    needed = NEED_TENSORFLOW.intersection(config.formats)
    return tensorflow_ahead() if needed else nothing_ahead(config)


@step("convert", inputs=_inputs, ahead=_ahead)
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
    dataset = dataset_for(config.dataset, known_dataset(found), config.model)
    data = load_dataset(dataset)
    runtime = open_source(found, data, config)
    source = read_source(found, data, config, runtime)
    name = found.artifact.name if isinstance(found, ArtifactSource) else found.name
    questions = draw_questions(
        data, runtime.signature, config.samples, config.seed, scored=config.score
    )
    reference = ask_reference(runtime, questions)
    test_score = reference.test_score

    def reload() -> keras.Model | None:
        if source.model is None:
            return None
        return read_source(found, data, config, open_source(found, data, config)).model

    with tempfile.TemporaryDirectory(prefix="agiwb-convert-") as scratch:
        work = Work(
            name,
            dataset,
            data.task if config.score else None,
            exported_once(source, config.formats, Path(scratch)),
            _lineage(found),
            questions.without(reference.unanswered),
            Path(scratch),
            reference,
            context,
            config.allow_divergence,
            functools.cache(reload),
        )
        kept, problems = convert_all(config.formats, work)
    return ConvertRecord(
        run=context.run,
        config=config,
        metrics={} if test_score is None else {f"test_{reference.metric}": test_score},
        problems=(*chance_problem(reference, dataset), *problems),
        model_name=name,
        dataset=dataset,
        artifacts=tuple(map(_summary, kept)),
        metric=reference.metric,
        reference_score=test_score,
    )


def _lineage(found: ModelSource | ArtifactSource) -> Lineage:
    if isinstance(found, ArtifactSource):
        parent = f"{found.artifact.format}:{found.fingerprint}"
        return Lineage(source_run=found.run_id, parent=parent)
    return Lineage(source_run=found.run_id)


def _summary(kept: Kept) -> ConvertedArtifact:
    report = kept.report
    return ConvertedArtifact(
        format=kept.manifest.format,
        path=kept.path,
        size_bytes=kept.manifest.size_bytes,
        max_abs_error=report.max_abs_error,
        max_rel_error=report.max_rel_error,
        top1_agreement=report.top1_agreement,
        kl_nats=report.kl_nats,
        test_score=report.test_score,
        passed=report.passed,
        diverges=kept.diverges,
        seconds=kept.seconds,
        check_seconds=report.seconds,
    )
