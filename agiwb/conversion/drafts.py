"""Writing a model in several formats: each a draft, in a folder where no reference finds it yet."""

from __future__ import annotations

import errno
import logging
import shutil
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.artifacts.manifest import MANIFEST_FILE, Format, Lineage
from agiwb.artifacts.resolve import REJECTED
from agiwb.conversion.exported import export_named
from agiwb.conversion.parity.check import Draft
from agiwb.conversion.parity.questions import Questions
from agiwb.conversion.parity.reference import Reference
from agiwb.conversion.registry import KERAS_FILES, load_converter
from agiwb.conversion.source import ConversionSource
from agiwb.errors import AgiwbError, CancelledError
from agiwb.native_chatter import held_back
from agiwb.native_memory import given_back_at_once
from agiwb.runs.context import Context

if TYPE_CHECKING:
    import keras

_LONGEST_MESSAGE = 400


@dataclass(frozen=True)
class Work:
    """What the conversions of one run have in common."""

    name: str
    dataset: str
    task: str | None
    source: ConversionSource
    lineage: Lineage
    questions: Questions
    scratch: Path
    reference: Reference
    context: Context
    allow_divergence: bool
    reload: Callable[[], keras.Model | None]
    """Returns the source's Keras model again, which is let go of once all formats are written."""

    @property
    def files(self) -> Path:
        """Folder of the run's files."""
        return self.context.files

    def questions_for(self, wanted: Format) -> tuple[Questions, Path]:
        """Return the questions as the format takes them, and the file that holds them."""
        source = self.source
        as_given = source.first_layers is None and not source.renamed
        whole = wanted in KERAS_FILES or as_given
        questions = self.questions if whole else self.questions.through(source.prepared)
        file = self.scratch / ("questions.npz" if whole else "prepared_questions.npz")
        if not file.is_file():
            questions.write(file)
        return questions, file


@dataclass(frozen=True)
class Written:
    """A draft, and the seconds that writing it took."""

    draft: Draft
    seconds: float


def write_drafts(
    formats: Sequence[Format], work: Work
) -> tuple[dict[Format, Written], dict[Format, str]]:
    """Return the drafts that were written, and in words why the others were not."""
    written: dict[Format, Written] = {}
    problems: dict[Format, str] = {}
    for done, wanted in enumerate(formats):
        work.context.progress("convert", done, len(formats))
        try:
            written[wanted] = _write(wanted, work)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  told, unless the disk is full
            problems[wanted] = give_up(wanted, error, work)
    work.context.progress("convert", len(formats), len(formats))
    return written, problems


def give_up(wanted: Format, error: Exception, work: Work) -> str:
    """Return in words why a format failed; what has no manifest is removed.

    Converters and engines raise anything, and the other formats are still wanted: only a full disk,
    which is the same for all of them, and an interrupt are raised again.
    """
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        raise error
    if "KeyboardInterrupt" in str(error):  # native code makes an error of its own of it
        raise KeyboardInterrupt from error
    work.context.stop_if_cancelled()
    logging.getLogger("agiwb").info("The conversion to %s failed.", wanted, exc_info=error)
    folder = work.files / REJECTED / wanted
    if not (folder / MANIFEST_FILE).is_file():
        shutil.rmtree(folder, ignore_errors=True)
    return f"{wanted}: {_in_words(error)}"


def exported_once(
    source: ConversionSource, formats: Sequence[Format], scratch: Path
) -> ConversionSource:
    """Return the source with the SavedModel that several formats begin with, if they do."""
    if source.named is None or len(set(formats) - set(KERAS_FILES)) <= 1:
        return source
    folder = scratch / "saved_model"
    with held_back(), given_back_at_once():
        export_named(source.named, folder)
    return replace(source, saved_model=folder)


def write_format(wanted: Format, source: ConversionSource, folder: Path) -> float:
    """Write one format into an empty folder, and return the seconds that it took."""
    started = time.perf_counter()
    # TensorFlow's exporters announce their sessions and passes.
    with held_back(), given_back_at_once():
        load_converter(wanted)(source, folder)
    return time.perf_counter() - started


def _write(wanted: Format, work: Work) -> Written:
    folder = work.files / REJECTED / wanted
    folder.mkdir(parents=True)
    seconds = write_format(wanted, work.source, folder)
    _, file = work.questions_for(wanted)
    return Written(Draft(wanted, folder, file, work.source.options.allow_flex), seconds)


def _in_words(error: Exception) -> str:
    """Return what an error says, on one line; converters' own may hold the whole graph."""
    sentence = " ".join(str(error).split())
    if isinstance(error, AgiwbError):
        return sentence
    return textwrap.shorten(f"{type(error).__name__}: {sentence}", _LONGEST_MESSAGE)
