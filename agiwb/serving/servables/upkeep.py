"""The threads that watch base paths, load versions and unload them.

One thread watches and decides. Loads have a thread of their own, one at a time unless told
otherwise, and each unload has one too: it may wait long for the last lease.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from agiwb.serving.servables.admission import Admission, Admissions
from agiwb.serving.servables.announcements import Announcements, Listener
from agiwb.serving.servables.folders import Settling, verify
from agiwb.serving.servables.harness import Harness, LoadedVersion
from agiwb.serving.servables.model_versions import ModelVersions, ModelView
from agiwb.serving.servables.policy import Rule
from agiwb.serving.servables.scan import scan
from agiwb.serving.servables.servable import Servable
from agiwb.serving.servables.states import Stage
from agiwb.serving.status import code_of
from agiwb.serving.versions import Version

Loading = Callable[[str, Version], Servable]
"""Returns the model in a version's folder, loaded and warm."""


@dataclass(frozen=True)
class UpkeepPolicy:
    """How versions are kept up; see Catalogue for the fields."""

    poll_s: float
    retries: int
    retry_wait_s: float
    always_present: bool
    rule: Rule
    load_threads: int
    admissions: Admissions | None = None


class Upkeep:
    """Brings what is loaded in line with what is aspired.

    Thread safety: ``models`` and what is in it are changed inside ``changing`` and read inside
    ``reading``. ``snapshot`` may be read at any time: its mappings are only replaced.
    """

    def __init__(self, load: Loading, policy: UpkeepPolicy, listener: Listener | None) -> None:
        self.models: dict[str, ModelVersions] = {}
        self.snapshot: Mapping[str, ModelView] = {}
        self._load_servable = load
        self._policy = policy
        self._announcements = Announcements(listener)
        self._settling = Settling(policy.poll_s)
        self._changed = threading.Condition(threading.RLock())
        self._wake = threading.Event()
        self._stopping = False
        self._to_load: queue.SimpleQueue[Harness | None] = queue.SimpleQueue()
        self._unloads: set[threading.Thread] = set()
        self._watcher = threading.Thread(target=self._watch, name="model-watcher", daemon=True)
        self._loaders = [
            threading.Thread(target=self._load_in_turn, name=f"model-loader-{index}", daemon=True)
            for index in range(policy.load_threads)
        ]

    def start(self) -> None:
        """Begin to watch and load."""
        for thread in (self._watcher, *self._loaders):
            thread.start()

    def stop(self, drain_s: float) -> None:
        """Give no new leases, and unload all that is not leased within ``drain_s`` seconds."""
        ends = time.monotonic() + drain_s
        with self.changing():
            self._stopping = True
            for model in self.models.values():
                for harness in [*model.ready().values(), *model.standing_by()]:
                    self._retire(harness)
        for _ in self._loaders:
            self._to_load.put(None)
        for thread in (self._watcher, *self._loaders):
            if thread.ident is not None:
                thread.join(max(0.0, ends - time.monotonic()))
        with self._changed:
            unloads = list(self._unloads)
        for thread in unloads:
            thread.join(max(0.0, ends - time.monotonic()))

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock; afterwards the snapshot is replaced, and who waits or listens is told."""
        try:
            with self.reading():
                try:
                    yield
                finally:
                    self._publish()
                    self._changed.notify_all()
        finally:
            self._announcements.deliver()
            self._wake.set()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the lock."""
        with self._changed:
            yield

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Return whether ``condition``, asked under the lock, came true in time, before a stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or condition(), timeout_s)
            return not self._stopping and condition()

    def tell(self, harness: Harness) -> None:
        """Keep a change of state for who listens; inside ``changing``."""
        self._announcements.note(harness)

    def _watch(self) -> None:
        while not self._stopping:
            self._wake.clear()
            self._look()
            with self._changed:
                pause = self._pause()
            self._wake.wait(pause)

    def _pause(self) -> float | None:
        """Return seconds to the next look, None if only a change can make one necessary."""
        pauses = [self._policy.poll_s] if self._policy.poll_s > 0 else []
        for model in self.models.values():
            pauses += [
                max(0.0, harness.retry_at - time.monotonic())
                for harness in model.harnesses.values()
                if harness.retry_at is not None
            ]
        return min(pauses, default=None)

    def _look(self) -> None:
        """Look at every base path, and do what the rule says."""
        with self._changed:
            models = list(self.models.values())
        for model in models:
            try:
                self._look_at(model)
            except Exception:  # one model's trouble must not end the care for the others
                logging.getLogger("agiwb").exception("Watching %s failed.", model.config.name)

    def _look_at(self, model: ModelVersions) -> None:
        with self._changed:
            config, held, scanned = model.config, model.held(), model.scanned
        # The file system is looked at without the lock: it may take its time.
        looks = not model.removed and (self._policy.poll_s > 0 or not scanned)
        also = self._policy.admissions.required(config.name) if self._policy.admissions else ()
        found = scan(config, held, self._settling, also) if looks else None
        if found is not None and self._policy.admissions is not None:
            there = [version.number for version in found.aspired]
            wanted = max(config.policy.choose(there), default=None)
            self._policy.admissions.want(config.name, wanted)
        with self._changed:
            if self._stopping or model.config is not config:
                return  # it was configured meanwhile, and the next look is already asked for
            if looks:
                model.aspire(found, also, always_present=self._policy.always_present)
            self._act(model)
            # Not ``changing``, which would ask for the next look at once.
            self._publish()
            self._changed.notify_all()
        self._announcements.deliver()

    def _act(self, model: ModelVersions) -> None:
        model.drop_finished()
        if self._policy.admissions is not None:
            for harness in model.standing_by():
                if not harness.aspired and not harness.withdrawn:
                    harness.withdrawn = True
                    self._policy.admissions.withdraw(harness.name, harness.version.number)
        while (action := self._policy.rule(model.standings())) is not None:
            harness = model.harnesses[action.number]
            if action.kind == "unload":
                self._retire(harness)
            else:
                harness.move(Stage.LOAD_REQUESTED)
                self._to_load.put(harness)
        for harness in model.due(time.monotonic()):
            self._to_load.put(harness)
        if model.removed and not model.harnesses:
            self.models.pop(model.config.name, None)

    def _load_in_turn(self) -> None:
        while (harness := self._to_load.get()) is not None:
            try:
                self._load(harness)
            except Exception:  # one version's trouble must not end the loading of others
                logging.getLogger("agiwb").exception("Loading %s failed.", harness.name)

    def _load(self, harness: Harness) -> None:
        with self.changing():
            model = self.models.get(harness.name)
            if self._stopping or model is None or not harness.aspired:
                harness.decline()
                return
            base_path = model.config.base_path
            if harness.stage is Stage.LOAD_REQUESTED:
                harness.move(Stage.LOADING)
        try:
            artifact = verify(base_path, harness.version)
            servable = self._load_servable(harness.name, harness.version)
            admission = self._place(harness, servable)
        except Exception as error:  # noqa: BLE001  whatever a damaged model makes a library raise
            reason = str(error).replace(str(base_path), harness.name) or type(error).__name__
            logging.getLogger("agiwb").warning(
                "Version %d of %s is not loaded: %s", harness.version.number, harness.name, reason
            )
            with self.changing():
                again = harness.attempts < self._policy.retries
                retry_at = time.monotonic() + self._policy.retry_wait_s if again else None
                harness.fail(code_of(error), reason, retry_at)
            if self._policy.admissions is not None:
                self._policy.admissions.fail(harness.name, harness.version.number, reason)
            return
        number, folder = harness.version.number, harness.version.folder
        known = () if artifact is None else (artifact.classes, artifact.divergence)
        loaded = LoadedVersion(harness.name, number, folder, servable, *known)
        with self.changing():
            if admission is None:
                harness.become_ready(loaded)
            else:
                harness.stand_by(loaded, admission)
            if self._stopping:
                self._retire(harness)
        if self._policy.admissions is not None:
            # It is visible by now: only what is can be admitted.
            self._policy.admissions.stand_by(loaded.name, loaded.number)

    def _place(self, harness: Harness, servable: Servable) -> Admission | None:
        """Return the admission of what was loaded, which is closed if there is none to be had."""
        if self._policy.admissions is None:
            return None
        try:
            return self._policy.admissions.place(harness.name, harness.version.number)
        except BaseException:
            servable.close()
            raise

    def admit(self, name: str, number: int) -> None:
        """Have a version that stands by be ready: its admission has opened."""
        with self.changing():
            if (harness := self._standing_by(name, number)) is not None:
                harness.become_ready()

    def dismiss(self, name: str, number: int) -> None:
        """Unload a version that stood by and was withdrawn: its admission will not open."""
        with self.changing():
            if (harness := self._standing_by(name, number)) is not None:
                self._retire(harness)

    def hold_back(self, name: str, number: int, reason: str) -> None:
        """Keep why a version that stands by is not admitted yet."""
        with self.changing():
            if (harness := self._standing_by(name, number)) is not None:
                harness.hold_back(reason)

    def _standing_by(self, name: str, number: int) -> Harness | None:
        model = self.models.get(name)
        harness = None if model is None else model.harnesses.get(number)
        return harness if harness is not None and harness.stands_by else None

    def _retire(self, harness: Harness) -> None:
        """Take ``harness`` out of the snapshot, and only then refuse new leases."""
        harness.move(Stage.QUIESCING)
        if harness.admission is not None and not self._stopping:
            # Where others share the admission, none goes on answering with what is going here.
            harness.admission.close()
        self._publish()
        harness.quiesce()
        thread = threading.Thread(
            target=self._unload, args=(harness,), name=f"unload-{harness.name}", daemon=True
        )
        self._unloads.add(thread)
        thread.start()

    def _unload(self, harness: Harness) -> None:
        harness.wait_until_idle()
        with self.changing():
            harness.move(Stage.UNLOADING)
        try:
            harness.unload()
        except Exception:
            logging.getLogger("agiwb").exception("Unloading %s failed.", harness.name)
        if self._policy.admissions is not None:
            # Said first: once it is DISABLED, the version may be loaded anew.
            self._policy.admissions.end(harness.name, harness.version.number)
        with self.changing():
            harness.move(Stage.DISABLED)
            self._unloads.discard(threading.current_thread())

    def _publish(self) -> None:
        self.snapshot = {name: model.view() for name, model in self.models.items()}
