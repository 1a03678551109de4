"""Carrying out a step: reuse what is known, else run it, and store what came of it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import traceback
from collections.abc import Callable, Mapping

from agiwb.config import Config
from agiwb.errors import CancelledError, InputError, WorkspaceError
from agiwb.runs.context import Context
from agiwb.runs.events import Console, Event, EventFile, Listener
from agiwb.runs.provenance import Provenance, describe_origin
from agiwb.runs.record import RunInfo, RunState
from agiwb.runs.step import C, Input, R, Step
from agiwb.runs.store import RunStore, open_store
from agiwb.settings import Settings


def execute(
    step: Step[C, R],
    config: C,
    *,
    reuse: bool,
    listener: Listener | None,
    cancelled: Callable[[], bool],
) -> R:
    """Return the step's record, from an earlier run or a new one; see Step.__call__."""
    if listener is None:
        with contextlib.closing(Console()) as console:
            return execute(step, config, reuse=reuse, listener=console, cancelled=cancelled)
    store = open_store()
    provenance = _origin(step.inputs(config, store))
    key = cache_key(step.name, config, provenance)
    known = store.known(key) if reuse and step.reusable else None
    if known is not None:
        listener(Event(message=_reuse_notice(step.name, known.run)))
        record: R = known.model_copy(update={"reused": True})  # type: ignore[assignment]
    else:
        run = store.start(step.name, config, key, provenance)
        record = _carry_out(step, config, run, store, listener, cancelled)
    step.publish(record, store)
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


def _origin(inputs: Mapping[str, Input]) -> Provenance:
    parents = {name: found.run_id for name, found in inputs.items() if found.run_id}
    if caller := Settings().parent_run:
        parents[CALLER] = caller
    fingerprints = {name: found.fingerprint for name, found in inputs.items()}
    return describe_origin(fingerprints, parents)


def _carry_out(
    step: Step[C, R],
    config: C,
    run: RunInfo,
    store: RunStore,
    listener: Listener,
    cancelled: Callable[[], bool],
) -> R:
    folder = store.folder(run.id)
    history = EventFile(folder.events)

    def emit(event: Event) -> None:
        history(event)
        listener(event)

    try:
        context = Context(run, store, folder.unfinished, emit, cancelled)
        return store.finish(step.run(config, context))  # type: ignore[return-value]
    except InputError:
        store.discard(run.id)
        raise
    except (CancelledError, KeyboardInterrupt):
        _close(store, run, "cancelled")
        raise CancelledError(f"Run {run.id[:8]} ({step.name}) was cancelled.") from None
    except OSError as error:
        _close(store, run, "failed", traceback.format_exc(limit=-5))
        if error.errno == errno.ENOSPC:
            raise WorkspaceError(
                f"The disk is full: run {run.id[:8]} ({step.name}) could not write its files.",
                "Free some space, or set AGIWB_WORKSPACE to a folder on another disk.",
            ) from error
        raise
    except Exception:
        _close(store, run, "failed", traceback.format_exc(limit=-5))
        raise
    finally:
        history.close()


def _close(store: RunStore, run: RunInfo, state: RunState, error: str = "") -> None:
    """Give the run its last state; a history that cannot be written must not hide the cause."""
    try:
        store.close(run.id, state, error)
    except Exception:  # noqa: BLE001  whatever the database raises, the next look marks it as lost
        logging.getLogger("agiwb").warning(
            "Run %s could not be closed as %s; it will be shown as lost.", run.id[:8], state
        )


def _reuse_notice(step: str, run: RunInfo) -> str:
    when = run.started_at.astimezone()
    return (
        f"{step}: nothing has changed since run {run.id[:8]} of {when:%Y-%m-%d %H:%M}, "
        "so its result is used again."
    )
