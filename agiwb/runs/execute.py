"""Carrying out a step: reuse what is known, else run it, and store what came of it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agiwb.config import Config
from agiwb.errors import CancelledError, InputError, UnreachableError, WorkspaceError
from agiwb.runs.context import Context
from agiwb.runs.events import Console, Event, EventFile, Listener
from agiwb.runs.liveness import CancelRequest, RunFolder
from agiwb.runs.provenance import Provenance, describe_origin
from agiwb.runs.record import RunInfo, RunState
from agiwb.runs.step import C, R, Step
from agiwb.runs.store import RunStore, open_store
from agiwb.settings import Settings


def execute(
    step: Step[C, R],
    config: C,
    reuse: bool,
    listener: Listener | None,
    cancelled: Callable[[], bool],
    job: RunFolder | None,
) -> R:
    """Return the step's record, from an earlier run or a new one; see Step.__call__."""
    if listener is None:
        with contextlib.closing(Console()) as console:
            return execute(step, config, reuse, console, cancelled, job)
    record: R
    reuse = reuse and not Settings().fresh
    store = open_store()
    config = step.settle(config, store)
    provenance = origin(step, config, store)
    key = cache_key(step.name, config, provenance)
    begun = job.run() if job is not None else None
    if begun is not None:
        require_unchanged(begun, config, provenance)
        how = _Beginning(resumed=True, fresh=not reuse)
        with step.ahead(config):
            run = store.reopen(begun.id)
            record = _complete(step, config, run, store, listener, cancelled, job, how)
    elif reuse and step.reusable and (known := store.known(key)) is not None:
        _tell_of_reuse(known.run, listener, job)
        record = known.model_copy(update={"reused": True})  # type: ignore[assignment]
        step.publish(record, store)
    else:
        how = _Beginning(resumed=False, fresh=not reuse)
        with step.ahead(config):
            run = store.start(step.name, config, key, provenance, job)
            record = _complete(step, config, run, store, listener, cancelled, job, how)
    if caller := provenance.parents.get(CALLER):
        store.folder(caller).note_result(step.name, record.run.id)
    return record


CALLER = "caller"
"""The parent that started the process a run was made in: a run of a notebook."""


def cache_key(step: str, config: Config, provenance: Provenance) -> str:
    """Return the SHA-256 of all that decides a result; equal keys mean equal results."""
    decisive = {
        "step": step,
        "config": config.model_dump(mode="json"),
        "inputs": provenance.inputs,
        "packages": provenance.packages,
        "code": provenance.code_sha256,
        "python": provenance.python,
        "machine": provenance.machine,
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def origin(step: Step[C, R], config: C, store: RunStore) -> Provenance:
    """Return the provenance of a run of ``step`` that would start now.

    Raises:
        InputError: Something that the step would read is missing or malformed.
    """
    inputs = step.inputs(config, store)
    parents = {name: found.run_id for name, found in inputs.items() if found.run_id}
    if caller := Settings().parent_run:
        parents[CALLER] = caller
    fingerprints = {name: found.fingerprint for name, found in inputs.items()}
    return describe_origin(fingerprints, parents)


def require_unchanged(run: RunInfo, config: Config, now: Provenance) -> None:
    """Raise InputError unless ``run`` can go on: all that decides its result is as it was."""
    if cache_key(run.step, config, now) == run.cache_key:
        return
    then = run.provenance
    changes = [f"the {name}" for name in _differing(then.inputs, now.inputs)]
    changes += [
        f"the version of {name} ({then.packages.get(name)}, now {now.packages.get(name)})"
        for name in _differing(then.packages, now.packages)
    ]
    if then.code_sha256 != now.code_sha256:
        changes.append("the code of agiwb")
    if then.python != now.python:
        changes.append(f"the version of Python ({then.python}, now {now.python})")
    if then.machine != now.machine:
        changes.append(f"the machine ({then.machine}, now {now.machine})")
    raise InputError(
        f"Run {run.id[:8]} ({run.step}) cannot go on, because this has changed since it was "
        f"started: {', '.join(changes) or 'its config'}.",
        f"Start it anew: `agiwb {run.step}` with the same fields.",
    )


def _differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]


@dataclass(frozen=True)
class _Beginning:
    """Whether a former process began the run, and whether no older result may stand for it."""

    resumed: bool
    fresh: bool


def _complete(
    step: Step[C, R],
    config: C,
    run: RunInfo,
    store: RunStore,
    listener: Listener,
    cancelled: Callable[[], bool],
    job: RunFolder | None,
    how: _Beginning,
) -> R:
    """Return the record of ``run``, carried out and published.

    Its folder says how it ended. That of a job is told by the job's process, as its last word.
    """
    folder = store.folder(run.id)
    try:
        try:
            with folder.beating():
                record = _carry_out(step, config, run, store, listener, cancelled, how)
                step.publish(record, store)
        finally:
            _tell_if_behind(store, folder, listener)
    except BaseException as error:
        if job is None:
            folder.close_after(error)
        raise
    if job is None:
        folder.close("finished", 0 if record.passed else 1)
    return record


def _carry_out(
    step: Step[C, R],
    config: C,
    run: RunInfo,
    store: RunStore,
    listener: Listener,
    cancelled: Callable[[], bool],
    how: _Beginning,
) -> R:
    folder = store.folder(run.id)
    history, asked = EventFile(folder.events), CancelRequest(folder)

    def emit(event: Event) -> None:
        history(event)
        listener(event)

    def stopped() -> bool:
        return asked() or cancelled()

    context = Context(
        run, store, folder.unfinished, emit, stopped, resumed=how.resumed, fresh=how.fresh
    )
    try:
        record = step.run(config, context)
        context.flush()
        stored: R = store.finish(record)  # type: ignore[assignment]
    except InputError as error:
        # What the former process kept is still of use; and a server may be back later.
        if how.resumed or isinstance(error, UnreachableError):
            _close(context, "failed", traceback.format_exc(limit=-5))
        else:
            store.discard(run.id)
        raise
    except (CancelledError, KeyboardInterrupt):
        _close(context, "cancelled")
        folder.drop_unfinished()
        raise CancelledError(f"Run {run.id[:8]} ({step.name}) was cancelled.") from None
    except OSError as error:
        _close(context, "failed", traceback.format_exc(limit=-5))
        if error.errno == errno.ENOSPC:
            raise WorkspaceError(
                f"The disk is full: run {run.id[:8]} ({step.name}) could not write its files.",
                "Free some space, or set AGIWB_WORKSPACE to a folder on another disk.",
            ) from error
        raise
    except Exception:
        _close(context, "failed", traceback.format_exc(limit=-5))
        raise
    else:
        store.share(emit, stopped)
        return stored
    finally:
        history.close()


def _close(context: Context, state: RunState, error: str = "") -> None:
    """Give the run its last state; a history that cannot be written must not hide the cause."""
    run = context.run
    try:
        context.flush()
        context.store.close(run.id, state, error)
    except Exception:  # noqa: BLE001  whatever the database raises, the next look marks it as lost
        logging.getLogger("agiwb").warning(
            "Run %s could not be closed as %s; it will be shown as lost.", run.id[:8], state
        )


def _tell_if_behind(store: RunStore, folder: RunFolder, listener: Listener) -> None:
    if behind := store.behind():
        _tell(Event(message=behind), listener, folder if folder.path.is_dir() else None)


def _tell_of_reuse(run: RunInfo, listener: Listener, job: RunFolder | None) -> None:
    when = run.started_at.astimezone()
    event = Event(
        message=f"{run.step}: nothing has changed since run {run.id[:8]} of "
        f"{when:%Y-%m-%d %H:%M}, so its result is used again."
    )
    _tell(event, listener, job)


def _tell(event: Event, listener: Listener, folder: RunFolder | None) -> None:
    listener(event)
    if folder is not None:
        with contextlib.closing(EventFile(folder.events)) as history:
            history(event)
