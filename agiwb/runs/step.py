"""The step: one function from a typed config to a stored record."""

from __future__ import annotations

import contextlib
import typing
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

from agiwb.config import Config
from agiwb.runs.context import Context
from agiwb.runs.events import Listener
from agiwb.runs.liveness import RunFolder
from agiwb.runs.record import Record

if typing.TYPE_CHECKING:
    from agiwb.runs.store import RunStore

C = TypeVar("C", bound=Config)
R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Input:
    """Something a step reads: its SHA-256 fingerprint, and the run that made it, if one did."""

    fingerprint: str
    run_id: str | None = None


def as_given(config: C, store: RunStore) -> C:
    """Return the config as it is: most say all that decides the result."""
    return config


def nothing_ahead(config: C) -> AbstractContextManager[None]:
    """Get nothing ready: what most steps do before a run exists."""
    return contextlib.nullcontext()


def nothing_to_publish(record: Record, store: RunStore) -> None:
    """Leave a result as it is: what most steps do once it is stored."""


@dataclass(frozen=True)
class Step(Generic[C, R]):
    """A named step. Call it with a config to run it and get its record.

    ``inputs`` finds all that the step will read, before a run exists: whatever is missing or
    malformed there is the user's to mend, and leaves nothing behind.
    """

    name: str
    run: Callable[[C, Context], R]
    inputs: Callable[[C, RunStore], Mapping[str, Input]]
    config_type: type[C]
    record_type: type[R]
    publish: Callable[[R, RunStore], None] = nothing_to_publish
    """Told each result once it is stored, or used again: what makes it the newest of its kind."""
    reusable: bool = True
    """Whether an earlier run's result may stand for a new one; False for what acts on the world."""
    ahead: Callable[[C], AbstractContextManager[None]] = nothing_ahead
    """Entered once it is certain that the work will be done, while the history is opened, which
    takes seconds: begins what gets ready in the background, and returns at once. Left when the run
    has ended, however that was."""
    settle: Callable[[C, RunStore], C] = as_given
    """Asked before ``inputs`` for the config with what only the history can tell: it is the one
    that is run, and kept in the record."""

    def __call__(
        self,
        config: C,
        *,
        reuse: bool = True,
        listener: Listener | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        job: RunFolder | None = None,
    ) -> R:
        """Return the record of this step for ``config``.

        Args:
            config: What decides the result.
            reuse: Take the record of an earlier run if config, inputs, code and package versions
                are all unchanged and its files are intact; False always runs anew.
            listener: Told each event; by default they are shown on the terminal.
            cancelled: Asked between batches; if it says True the run ends as cancelled.
            job: Folder of the job that this process carries, by default the run has one of its
                own. A run that was begun there, and did not finish, goes on.

        Raises:
            InputError: Something given is wrong; no run was made.
            CancelledError: The user asked to stop.
        """
        from agiwb.runs.execute import execute

        return execute(self, config, reuse, listener, cancelled, job)


def no_inputs(config: Config, store: RunStore) -> dict[str, Input]:
    """Return nothing: the inputs of a step that reads only its config."""
    return {}


def step(
    name: str,
    inputs: Callable[[C, RunStore], Mapping[str, Input]] = no_inputs,
    *,
    publish: Callable[[R, RunStore], None] = nothing_to_publish,
    reusable: bool = True,
    ahead: Callable[[C], AbstractContextManager[None]] = nothing_ahead,
    settle: Callable[[C, RunStore], C] = as_given,
) -> Callable[[Callable[[C, Context], R]], Step[C, R]]:
    """Return a decorator that makes a step of a function from config and context to record."""

    def decorate(run: Callable[[C, Context], R]) -> Step[C, R]:
        types = typing.get_type_hints(run)
        config_type, record_type = types["config"], types["return"]
        made = Step(name, run, inputs, config_type, record_type, publish, reusable, ahead, settle)
        object.__setattr__(made, "__doc__", run.__doc__)
        return made

    return decorate
