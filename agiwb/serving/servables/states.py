"""The stages of one version's life, and the states that clients are told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from agiwb.serving.status import Code


class Stage(Enum):
    """Where a version is in its life."""

    NEW = "new"
    LOAD_REQUESTED = "load requested"
    LOADING = "loading"  # also between a load that failed and the next attempt
    READY = "ready"
    QUIESCING = "quiescing"  # no new leases; those there are run out
    UNLOADING = "unloading"
    DISABLED = "disabled"
    ERROR = "error"


FINISHED = frozenset({Stage.DISABLED, Stage.ERROR})
"""Stages that nothing follows."""

FOLLOWERS: dict[Stage, frozenset[Stage]] = {
    # A version that nobody wants any more when its turn comes is not loaded at all.
    Stage.NEW: frozenset({Stage.LOAD_REQUESTED, Stage.DISABLED}),
    Stage.LOAD_REQUESTED: frozenset({Stage.LOADING, Stage.DISABLED}),
    # A version that stood by to be admitted and is not wanted any more goes without being ready.
    Stage.LOADING: frozenset({Stage.READY, Stage.ERROR, Stage.QUIESCING}),
    Stage.READY: frozenset({Stage.QUIESCING}),
    Stage.QUIESCING: frozenset({Stage.UNLOADING}),
    Stage.UNLOADING: frozenset({Stage.DISABLED}),
    Stage.DISABLED: frozenset(),
    Stage.ERROR: frozenset(),
}
"""The stages that may come after each."""


class State(IntEnum):
    """The state of a version as clients see it; numbers of TensorFlow Serving's status proto."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


STATES: dict[Stage, State] = {
    Stage.NEW: State.START,
    Stage.LOAD_REQUESTED: State.START,
    Stage.LOADING: State.LOADING,
    Stage.READY: State.AVAILABLE,
    Stage.QUIESCING: State.UNLOADING,
    Stage.UNLOADING: State.UNLOADING,
    Stage.DISABLED: State.END,
    Stage.ERROR: State.END,
}


@dataclass(frozen=True)
class VersionStatus:
    """The state of one version; ``code`` and ``message`` tell why its last load failed, if so."""

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""
