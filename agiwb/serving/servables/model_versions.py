"""The versions of one model, from the first sight of their folders to their end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from agiwb.serving.servables.folders import Fingerprint
from agiwb.serving.servables.harness import Harness
from agiwb.serving.servables.model_config import ModelConfig
from agiwb.serving.servables.policy import Standing
from agiwb.serving.servables.scan import Scan
from agiwb.serving.servables.states import FINISHED, Stage, VersionStatus

_ENDED_KEPT = 32
"""Versions whose end is remembered for the status; a server may swap for years."""


@dataclass(frozen=True, slots=True)
class ModelView:
    """What requests see of a model; never changed, only replaced."""

    ready: Mapping[int, Harness] = field(default_factory=dict)
    latest: Harness | None = None
    labels: Mapping[str, int] = field(default_factory=dict)
    admitted: tuple[Harness, ...] = ()
    """Where admissions decide: what is ready or stands by, the highest first."""

    def find_newest(self) -> Harness | None:
        """Return the highest version that may answer."""
        for harness in self.admitted:
            if harness.admission is not None and harness.admission.is_open:
                return harness
        return self.latest

    def find(self, number: int) -> Harness | None:
        """Return the version ``number`` if it may answer."""
        harness = self.ready.get(number)
        if harness is None:
            for other in self.admitted:
                if other.version.number == number and other.admission and other.admission.is_open:
                    return other
        return harness


class ModelVersions:
    """One model's versions and labels; not thread-safe, the catalogue's lock guards it.

    Attributes:
        config: What is to be served.
        labels: The labels in force.
        pending: Labels of a new model's configuration whose versions are not available yet.
        removed: Whether all is to be unloaded, and then forgotten.
        scanned: Whether the base path has been looked at since ``config`` was given.
    """

    def __init__(self, config: ModelConfig, tell: Callable[[Harness], None]) -> None:
        self.config = config
        self.labels: dict[str, int] = {}
        self.pending: dict[str, int] = {}
        self.removed = False
        self.scanned = False
        self.harnesses: dict[int, Harness] = {}
        self._incomplete = False
        self._tell = tell
        self._ended: dict[int, VersionStatus] = {}

    def reconfigure(self, config: ModelConfig) -> None:
        """Serve as ``config`` says; its labels are for ``relabel`` or ``label_anew``."""
        self.removed = False
        if dataclasses.replace(config, labels={}) != dataclasses.replace(self.config, labels={}):
            self.config = config
            self.scanned = False

    def remove(self) -> None:
        """Let all versions be unloaded."""
        self.removed = True
        self.scanned = False
        for harness in self.harnesses.values():
            harness.aspired = False

    def label_anew(self, labels: Mapping[str, int], *, at_once: bool) -> None:
        """Replace all labels; they come into force ``at_once`` or with their versions."""
        self.labels, self.pending = (dict(labels), {}) if at_once else ({}, dict(labels))

    def relabel(self, labels: Mapping[str, int]) -> None:
        """Replace all labels; those that wait for the same version go on waiting."""
        waiting = dict(labels.items() & self.pending.items())
        self.labels = dict(labels.items() - waiting.items())
        self.pending = waiting

    def held(self) -> dict[int, Fingerprint]:
        """Return by number the files of versions that need not be looked at again."""
        return {
            number: harness.fingerprint
            for number, harness in self.harnesses.items()
            if harness.stage not in FINISHED and harness.retry_at is None
        }

    def aspire(
        self, found: Scan | None, also: Collection[int] = (), *, always_present: bool
    ) -> None:
        """Take notice of what the base path holds; None leaves all as it is.

        Versions in ``also`` are kept if they are there or loaded.
        """
        if self.removed:
            return  # while its base path was looked at
        self.scanned = True
        if found is None:
            return
        self._incomplete = found.incomplete
        if always_present and not found.aspired:
            return
        wanted = {version.number for version in found.aspired}
        for number, harness in self.harnesses.items():
            harness.aspired = number in wanted or number in also
        for version, files in found.aspired.items():
            present = self.harnesses.get(version.number)
            if present is not None and not self._begins_anew(present, files):
                continue
            self.harnesses[version.number] = Harness(self.config.name, version, files, self._tell)

    @staticmethod
    def _begins_anew(harness: Harness, files: Fingerprint) -> bool:
        """Return whether a version that has ended, or waits for a retry, begins a new life."""
        other_files = harness.fingerprint != files
        if other_files and harness.retry_at is not None:
            harness.give_up()
        return harness.stage is Stage.DISABLED or (harness.stage is Stage.ERROR and other_files)

    def drop_finished(self) -> None:
        """Forget versions that are not aspired and have ended; only their status remains."""
        for number, harness in list(self.harnesses.items()):
            if harness.aspired:
                continue
            if harness.retry_at is not None:
                harness.give_up()
            if harness.stage is Stage.NEW:
                harness.move(Stage.DISABLED)
            if harness.stage in FINISHED:
                del self.harnesses[number]
                self._ended.pop(number, None)
                self._ended[number] = harness.status
        for number in list(self._ended)[:-_ENDED_KEPT]:
            del self._ended[number]

    def standings(self) -> list[Standing]:
        """Return where each version stands, in ascending order."""
        return [
            Standing(number, harness.stage, harness.aspired)
            for number, harness in sorted(self.harnesses.items())
        ]

    def due(self, now: float) -> list[Harness]:
        """Return the versions whose next attempt to load is due, and take note of it."""
        waiting = [
            harness
            for harness in self.harnesses.values()
            if harness.retry_at is not None and harness.retry_at <= now
        ]
        for harness in waiting:
            harness.retry_at = None
        return waiting

    def ready(self) -> dict[int, Harness]:
        """Return the versions that answer, by number in ascending order."""
        return {
            number: harness
            for number, harness in sorted(self.harnesses.items())
            if harness.stage is Stage.READY
        }

    def view(self) -> ModelView:
        """Return what requests see; labels that waited for their versions come into force."""
        ready = self.ready()
        for label in [label for label, number in self.pending.items() if number in ready]:
            self.labels[label] = self.pending.pop(label)
        latest = ready[max(ready)] if ready else None
        return ModelView(ready, latest, dict(self.labels), self._admitted(ready))

    def standing_by(self) -> list[Harness]:
        """Return the versions that are loaded and wait to be admitted."""
        return [harness for harness in self.harnesses.values() if harness.stands_by]

    def _admitted(self, ready: Mapping[int, Harness]) -> tuple[Harness, ...]:
        known = [harness for harness in ready.values() if harness.admission is not None]
        known += self.standing_by()
        return tuple(sorted(known, key=lambda harness: harness.version.number, reverse=True))

    def settled(self) -> bool:
        """Return whether waiting longer is not expected to make a version available."""
        if not self.scanned or self._incomplete:
            return bool(self.ready())
        return bool(self.ready()) or all(
            harness.is_settled for harness in self.harnesses.values() if harness.aspired
        )

    def statuses(self) -> dict[int, VersionStatus]:
        """Return the status of every version that is there or was, the highest first."""
        known = dict(self._ended)
        known |= {number: harness.status for number, harness in self.harnesses.items()}
        return dict(sorted(known.items(), reverse=True))

    def present_config(self) -> ModelConfig:
        """Return the configuration with the labels as they are now."""
        return dataclasses.replace(self.config, labels={**self.pending, **self.labels})
