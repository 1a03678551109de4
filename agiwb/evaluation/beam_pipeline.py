"""TFMA as a pipeline of Apache Beam, which any runner of Beam carries out.

What is to be evaluated lies as Parquet in a folder or an object store, from which Beam's workers
read it; to it they write TFMA's files. They need Beam and TFMA and nothing of agiwb: all that is
sent to them are functions of these two, and TFMA's ``EvalConfig``.
"""

from __future__ import annotations

import difflib
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import ConfigError, WorkError, did_you_mean
from agiwb.evaluation.tfma_engine import import_tfma

Columns = Mapping[str, NDArray[Any]]

_ROWS_AT_ONCE = 1_000
"""Rows of a row group: what one worker takes at a time."""

_PARQUET = "predictions.parquet"
_RESULTS = "tfma"
_LONGEST_MESSAGE = 400
_OWN_RUNNERS = {"", "DirectRunner", "FnApiRunner"}


@dataclass(frozen=True)
class BeamPlace:
    """Who carries a pipeline out, and where its data lie.

    Attributes:
        options: Beam's pipeline options, as ``runner=FlinkRunner``; without a runner the work is
            done on this machine.
        folder: A folder or a URL of an object store that all workers read and write; None for a
            temporary folder of this machine.
    """

    options: tuple[str, ...] = ()
    folder: str | None = None


def run_pipeline(
    columns: Columns, config: Any, folder: Path, place: BeamPlace | None = None
) -> None:
    """Run TFMA on Beam; its files are written to ``folder``.

    Args:
        columns: By the names that ``config`` has; of shape ``(rows,)`` or ``(rows, values)``.
        config: The ``tfma.EvalConfig``, its defaults filled in.
        folder: See ``run_engine``.
        place: Where; by default in this process.

    Raises:
        ConfigError: Beam does not know an option or a runner, or ``place`` cannot be written.
        WorkError: Beam or TFMA fails.
    """
    place = place or BeamPlace()
    with _staged(columns, place.folder) as staged:
        results = f"{staged}/{_RESULTS}"
        evaluate_parquet(f"{staged}/{_PARQUET}", config, results, place.options)
        _fetch(results, folder)


def evaluate_parquet(source: str, config: Any, results: str, options: tuple[str, ...] = ()) -> None:
    """Run TFMA on Beam over Parquet files; TFMA's files are written to ``results``.

    Args:
        source: A path or a URL, which may have ``*``. Each column holds lists: of one number or
            word for a column of shape ``(rows,)``, of all values for ``(rows, values)``.
        config: The ``tfma.EvalConfig``, its defaults filled in, with the columns' names.
        results: A folder or a URL. With a runner elsewhere both must be reached from there.
        options: See ``BeamPlace``.

    Raises:
        ConfigError: Beam does not know an option or a runner.
        WorkError: Beam or TFMA fails.
    """
    given = pipeline_options(options)
    try:
        with warnings.catch_warnings():  # deprecations inside TFMA and Beam, which no user can mend
            warnings.simplefilter("ignore")
            build_pipeline(source, config, results, given).run().wait_until_finish()
    except Exception as error:
        told = " ".join(str(error).split())[-_LONGEST_MESSAGE:]
        raise WorkError(
            f"TFMA failed on Beam: {type(error).__name__}: {told}",
            "The runner's log says more. All workers need the same versions of Beam and TFMA, and "
            "access to `beam_folder`.",
        ) from error


def build_pipeline(source: str, config: Any, results: str, options: Any) -> Any:
    """Return the ``beam.Pipeline`` of ``evaluate_parquet``, which has not begun.

    Nothing in it names this machine, unless ``source`` or ``results`` is a folder of it.
    """
    tfma = import_tfma()
    import apache_beam as beam
    import pyarrow as pa
    from apache_beam.options.pipeline_options import StandardOptions
    from tensorflow_model_analysis.api import model_eval_lib

    runner = options.view_as(StandardOptions).runner or ""
    if runner in _OWN_RUNNERS:
        # Named, as by default Beam would try to download a runner of its own.
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        runner = FnApiRunner()
    pipeline = beam.Pipeline(runner=runner, options=options)
    # The parts are put together here, as TFMA's own transform for all of them takes a baseline
    # out of a config if it has not got a model to run for it.
    _ = (
        pipeline
        | beam.io.ReadFromParquetBatched(source)
        | "Spread over the workers" >> beam.Reshuffle()
        | "To record batches" >> beam.FlatMap(pa.Table.to_batches)
        | model_eval_lib.BatchedInputsToExtracts()
        | model_eval_lib.ExtractAndEvaluate(
            extractors=_extractors(config), evaluators=[_evaluator(config)]
        )
        | model_eval_lib.WriteResults(tfma.default_writers(results, eval_config=config))
    )
    return pipeline


def pipeline_options(words: tuple[str, ...]) -> Any:
    """Return Beam's ``PipelineOptions`` of words such as ``runner=FlinkRunner``.

    A name that Beam does not know is left to the runner, unless it is nearly one of Beam's.

    Raises:
        ConfigError: A word is misspelt, or has a value that it cannot have.
    """
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    flags = [f"--{word.lstrip('-')}" for word in words]
    known = sorted(PipelineOptions([]).get_all_options())
    for flag in flags:
        name = flag[2:].partition("=")[0]
        if name not in known and difflib.get_close_matches(name, known, n=1, cutoff=0.8):
            raise ConfigError(
                f"`beam_options`: Beam has no pipeline option {name!r}.", did_you_mean(name, known)
            )
    # Given, if only as none: else Beam reads them from this program's command line.
    options = PipelineOptions(flags)
    try:
        options.get_all_options()
    except SystemExit:  # argparse's, which has told why on stderr
        raise ConfigError(
            f"`beam_options`: Beam does not take {' '.join(words)}.",
            "Write each as NAME=VALUE: `runner=FlinkRunner flink_master=HOST:8081`.",
        ) from None
    _require_runner(options.view_as(StandardOptions).runner or "")
    return options


def _require_runner(name: str) -> None:
    from apache_beam.runners.runner import create_runner

    if name in _OWN_RUNNERS:
        return
    try:
        create_runner(name)
    except (ImportError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"`beam_options`: Beam cannot make the runner {name!r}: {error}",
            "Name one of its runners, such as FlinkRunner, SparkRunner or PortableRunner.",
        ) from None


@contextmanager
def _staged(columns: Columns, folder: str | None) -> Iterator[str]:
    """Yield the place in which the columns lie as Parquet until it is left.

    Raises:
        ConfigError: ``folder`` cannot be written.
    """
    from apache_beam.io.filesystems import FileSystems

    if folder is None:
        with tempfile.TemporaryDirectory(prefix="agiwb-beam-") as made:
            write_columns(columns, f"{made}/{_PARQUET}")
            yield made
        return
    place = f"{folder.rstrip('/')}/agiwb-{uuid.uuid4().hex}"
    try:
        if "://" not in place:
            FileSystems.mkdirs(place)
        write_columns(columns, f"{place}/{_PARQUET}")
    except Exception as error:  # a file system may raise anything
        told = " ".join(str(error).split())[:_LONGEST_MESSAGE]
        raise ConfigError(
            f"`beam_folder`: Beam cannot write {folder}: {told}",
            "Object stores need a part of Beam: `pip install apache-beam[aws]` or `[gcp]`.",
        ) from error
    try:
        yield place
    finally:
        FileSystems.delete([place if "://" not in place else f"{place}/"])


def write_columns(columns: Columns, path: str) -> None:
    """Write columns as ``evaluate_parquet`` reads them, to a path or a URL."""
    import pyarrow.parquet as pq
    from apache_beam.io.filesystems import FileSystems

    table = _listed(columns)
    with FileSystems.create(path, compression_type="uncompressed") as stream:
        pq.write_table(table, stream, row_group_size=_ROWS_AT_ONCE)


def _listed(columns: Columns) -> Any:
    """Return the columns as TFMA reads them: a table with a list in every cell."""
    import pyarrow as pa

    def lists(values: NDArray[Any]) -> Any:
        width = values.shape[1] if values.ndim > 1 else 1
        flat = values.ravel().tolist() if values.dtype.kind in "OU" else values.ravel()
        ends = np.arange(0, len(values) * width + 1, width, dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), pa.array(flat))

    return pa.table({name: lists(values) for name, values in columns.items()})


def _fetch(results: str, folder: Path) -> None:
    """Copy TFMA's files to ``folder``."""
    from apache_beam.io.filesystems import FileSystems

    folder.mkdir(parents=True, exist_ok=True)
    (matched,) = FileSystems.match([f"{results}/*"])
    for found in matched.metadata_list:
        target = folder / found.path.rpartition("/")[2]
        with (
            FileSystems.open(found.path, compression_type="uncompressed") as source,
            target.open("wb") as stream,
        ):
            shutil.copyfileobj(source, stream)


def _extractors(config: Any) -> list[Any]:
    """Return TFMA's default extractors; its own function for them takes out a baseline too."""
    from tensorflow_model_analysis import extractors
    from tensorflow_model_analysis.extractors.materialized_predictions_extractor import (
        MaterializedPredictionsExtractor,
    )
    from tensorflow_model_analysis.extractors.sql_slice_key_extractor import SqlSliceKeyExtractor

    made = [
        extractors.FeaturesExtractor(eval_config=config),
        extractors.LabelsExtractor(eval_config=config),
        extractors.ExampleWeightsExtractor(eval_config=config),
        MaterializedPredictionsExtractor(eval_config=config),
        extractors.UnbatchExtractor(),
        extractors.SliceKeyExtractor(eval_config=config, materialize=False),
    ]
    if any(spec.slice_keys_sql for spec in config.slicing_specs):
        made.insert(-2, SqlSliceKeyExtractor(config))
    return made


def _evaluator(config: Any) -> Any:
    from tensorflow_model_analysis.evaluators import (
        metrics_plots_and_validations_evaluator as home,
    )

    return home.MetricsPlotsAndValidationsEvaluator(eval_config=config)
