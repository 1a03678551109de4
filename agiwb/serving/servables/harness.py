"""One version's life, and the leases that keep it alive while it is used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from agiwb.serving.exchange import ModelSpec
from agiwb.serving.servables.admission import Admission
from agiwb.serving.servables.folders import Fingerprint
from agiwb.serving.servables.servable import Servable
from agiwb.serving.servables.states import FOLLOWERS, STATES, Stage, VersionStatus
from agiwb.serving.status import Code
from agiwb.serving.versions import Version

Find = Callable[[ModelSpec, int | None], "Harness"]
"""Returns what a request asks for, or the version preferred if it names none; else a Refusal."""


@dataclass(frozen=True)
class LoadedVersion:
    """One version of a model, loaded and warm.

    ``classes`` are of its manifest, else (); so is ``divergence``, in what it answers otherwise
    than the model that it was made of, if that was allowed.
    """

    name: str
    number: int
    folder: Path
    servable: Servable
    classes: tuple[str, ...] = ()
    divergence: tuple[str, ...] = ()

    @property
    def remark(self) -> str:
        """What its status tells while it answers."""
        return " ".join(("Diverges from its model.", *self.divergence)) if self.divergence else ""


class Harness:
    """One version: its stage, how its loads went, and who uses it.

    Thread safety: ``take``, ``give_back``, ``quiesce`` and ``wait_until_idle`` may be called from
    any thread and take no lock. All else is for who holds the catalogue's lock.

    Why no lock is needed. A lease is entered in ``_leases`` *before* the flag is read, and the flag
    is set *before* ``_leases`` is read. Whichever comes first, either the lease sees the flag and
    withdraws, or who quiesces sees the lease and waits. So while the flag is set and a lease holds,
    ``_leases`` is not empty, and nobody finds the version idle. This needs each of these steps to
    be atomic and seen in order, which the global interpreter lock gives; a set's ``add`` and
    ``discard`` of objects hashed by identity run no Python code.
    """

    def __init__(
        self, name: str, version: Version, fingerprint: Fingerprint, tell: Callable[[Harness], None]
    ) -> None:
        """Begin the life of ``version``; ``tell`` is called at each new state, also the first."""
        self.name = name
        self.version = version
        self.fingerprint = fingerprint
        self.stage = Stage.NEW
        self._tell = tell
        self.aspired = True
        self.attempts = 0
        self.retry_at: float | None = None
        self.admission: Admission | None = None
        self.withdrawn = False
        self._code = Code.OK
        self._message = ""
        self._loaded: LoadedVersion | None = None
        self._leases: set[Lease] = set()
        self._quiescing = False
        self._idle = threading.Event()
        tell(self)

    @property
    def status(self) -> VersionStatus:
        """What clients are told."""
        message = self._message
        if self.stage is Stage.READY and self._loaded is not None:
            message = message or self._loaded.remark
        return VersionStatus(self.version.number, STATES[self.stage], self._code, message)

    @property
    def stands_by(self) -> bool:
        """Whether it is loaded and waits to be admitted."""
        return self.stage is Stage.LOADING and self._loaded is not None

    @property
    def is_settled(self) -> bool:
        """Whether it cannot be foreseen to become ready: a load failed, here or elsewhere."""
        return self.attempts > 0 or bool(self._message)

    def move(self, stage: Stage) -> None:
        """Enter ``stage``.

        Raises:
            RuntimeError: It does not follow the present one.
        """
        if stage not in FOLLOWERS[self.stage]:
            raise RuntimeError(
                f"Version {self.version.number} of {self.name} cannot become {stage.value}: "
                f"it is {self.stage.value}."
            )
        told, self.stage = STATES[self.stage], stage
        if STATES[stage] is not told:
            self._tell(self)

    def stand_by(self, loaded: LoadedVersion, admission: Admission) -> None:
        """Keep what was loaded until it is admitted; it can be leased from now on."""
        self._loaded, self.admission = loaded, admission
        self._code, self._message = Code.OK, ""
        self.retry_at = None

    def hold_back(self, reason: str) -> None:
        """Keep why a version that stands by is not admitted; "" for nothing to tell."""
        self._code = Code.UNAVAILABLE if reason else Code.OK
        self._message = reason

    def become_ready(self, loaded: LoadedVersion | None = None) -> None:
        """Enter READY with what was loaded, now or to stand by; earlier failures are forgotten."""
        self._loaded = loaded or self._loaded
        self._code, self._message = Code.OK, ""
        self.retry_at = None
        self.move(Stage.READY)

    def fail(self, code: Code, message: str, retry_at: float | None) -> None:
        """Keep why a load failed; it is tried again at ``retry_at``, or never if None."""
        self._code, self._message = code, message
        self.attempts += 1
        self.retry_at = retry_at
        if retry_at is None:
            self.give_up()

    def decline(self) -> None:
        """End before the load that was asked for; the version is not wanted any more."""
        if self.stage is Stage.LOAD_REQUESTED:
            self.move(Stage.DISABLED)
        else:
            self.give_up()

    def give_up(self) -> None:
        """Try no further load; the reason of the last failure stays."""
        self.retry_at = None
        self.move(Stage.ERROR)

    def take(self, lease: Lease) -> LoadedVersion | None:
        """Return what is loaded, kept alive until ``give_back``; None if it is being unloaded."""
        self._leases.add(lease)
        if self._quiescing:
            self.give_back(lease)
            return None
        return self._loaded

    def give_back(self, lease: Lease) -> None:
        """End a lease."""
        self._leases.discard(lease)
        if self._quiescing and not self._leases:
            self._idle.set()

    def quiesce(self) -> None:
        """Give no new leases from now on."""
        self._quiescing = True
        if not self._leases:
            self._idle.set()

    def wait_until_idle(self) -> None:
        """Return once the last lease has ended; after ``quiesce``."""
        self._idle.wait()

    def unload(self) -> None:
        """Close the servable and let go of it; after ``wait_until_idle``."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.servable.close()


class Lease:
    """One use of a version, as a context manager; for one ``with`` and one thread at a time.

    The version is looked up on entering. It is not closed before the lease is left.
    """

    __slots__ = ("_find", "_harness", "_preferred", "_spec")

    def __init__(self, find: Find, spec: ModelSpec, preferred: int | None = None) -> None:
        self._find = find
        self._spec = spec
        self._preferred = preferred
        self._harness: Harness

    def __enter__(self) -> LoadedVersion:
        while True:
            # A version leaves the snapshot before it quiesces, so the next look finds another.
            self._harness = self._find(self._spec, self._preferred)
            loaded = self._harness.take(self)
            if loaded is not None:
                return loaded

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._harness.give_back(self)
