"""Choosing the batching of a server before it is started, by trying it on this machine."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.errors import InputError, WorkspaceError
from agiwb.serving.batching import BatchingParameters, write_batching_parameters
from agiwb.serving.rest_json.example_body import example_body
from agiwb.serving.rest_json.json_text import dump_json
from agiwb.serving.row_wise import find_row_wise
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.servables.warm_up import zero_batch
from agiwb.serving.settings import ServerSettings
from agiwb.serving.tuning import BatchTiming, LoadedServer, Trial, candidates, time_batches, tune
from agiwb.serving.versions import Version, choose_version

_CLIENTS = 16
_SECONDS = 2.0


def tell_on_stderr(line: str) -> None:
    """Print progress where it is not taken for output."""
    print(line, file=sys.stderr, flush=True)


def choose_batching(
    settings: ServerSettings,
    budget_ms: float,
    *,
    start: Callable[[ServerSettings], LoadedServer],
    chosen_file: Path,
    seconds: float | None = None,
    tell: Callable[[str], None] = tell_on_stderr,
) -> ServerSettings:
    """Return ``settings`` with the batching that answers most requests within the budget.

    Each trial is a server of its own, on a free port of loopback, that keeps no log and asks for no
    key, under a load of requests of one row of zeros.

    Args:
        settings: Of a server of one model.
        budget_ms: What the 99th percentile of latency may be, in milliseconds.
        start: Starts a server.
        chosen_file: Where the winner's parameters are written, as TensorFlow Serving's text; it is
            removed if the winner is without batching.
        seconds: Of load for each trial; by default 2.
        tell: Is given lines of progress, the table and the choice.

    Raises:
        InputError: The model cannot be loaded, or has no ``serving_default``.
        ServingError: A server does not start, or does not answer.
        WorkspaceError: The parameters cannot be written.
    """
    assert settings.model_base_path is not None  # noqa: S101  there is one model
    version = choose_version(settings.model_base_path, settings.model_version)
    name = settings.model_name or settings.model_base_path.name
    body, timings, merges = _look_at(name, version, settings.threads)
    tried: tuple[BatchingParameters | None, ...] = (None,)
    if merges:
        tried = candidates(timings, budget_ms, _CLIENTS)
    else:
        tell(f"{name} does not answer each row by itself: its requests cannot share batches.")
    tell(f"Trying {len(tried)} settings of batching, {seconds or _SECONDS:g} s each.")

    def report(trial: Trial) -> None:
        load = trial.load
        tell(f"  {trial}: {load.requests_per_s:.0f} req/s, p99 {load.p99_ms:.2f} ms")

    with tempfile.TemporaryDirectory() as folder:
        tuning = tune(
            lambda batching: start(
                _trial_settings(settings, version, batching, Path(folder) / "batching.txt")
            ),
            body,
            budget_ms,
            timings=timings,
            concurrency=_CLIENTS,
            seconds=seconds or _SECONDS,
            settings=tried,
            on_trial=report,
        )
    tell(str(tuning))
    best = tuning.best.batching
    try:
        if best is None:
            chosen_file.unlink(missing_ok=True)
            tell(f"Chosen: {tuning.best}.")
            return settings
        chosen_file.parent.mkdir(parents=True, exist_ok=True)
        write_batching_parameters(best, chosen_file)
    except OSError as error:
        raise WorkspaceError(
            f"The batching parameters {chosen_file} cannot be written: {error.strerror}.",
            "Free some space, or serve without `tune`.",
        ) from None
    tell(f"Chosen: {tuning.best}; the parameters are in {chosen_file}.")
    return _with(settings, enable_batching=True, batching_parameters_file=chosen_file)


def _look_at(
    name: str, version: Version, threads: int
) -> tuple[bytes, tuple[BatchTiming, ...], bool]:
    """Return a request, what the model alone takes, and whether its requests can be merged."""
    servable = load_servable(name, version, threads)
    try:
        served = servable.signatures.get(SIGNATURE_NAME)
        if served is None:
            raise InputError(
                f"The model {name} has no signature {SIGNATURE_NAME}, which is what is tuned.",
                "Serve it without `tune`.",
            )
        timings = time_batches(servable, zero_batch(served.signature))
        merges = SIGNATURE_NAME in find_row_wise(servable)
        return dump_json(example_body(served.signature)), timings, merges
    finally:
        servable.close()


def _trial_settings(
    settings: ServerSettings,
    version: Version,
    batching: BatchingParameters | None,
    file: Path,
) -> ServerSettings:
    """Return the settings of a trial; its batching is written to ``file``."""
    trial = ServerSettings(
        model_name=settings.model_name,
        model_base_path=settings.model_base_path,
        model_version=version.number,
        threads=settings.threads,
        workers=settings.workers,
        max_concurrency=settings.max_concurrency,
        rest_api_port=0,
        grpc=False,
        stop_with_stdin=True,
    )
    if batching is None:
        return trial
    write_batching_parameters(batching, file)
    return _with(trial, enable_batching=True, batching_parameters_file=file)


def _with(settings: ServerSettings, **changes: object) -> ServerSettings:
    return ServerSettings.from_mapping({**settings.model_dump(exclude_unset=True), **changes})
