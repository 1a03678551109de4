"""The rollout of one model: its state, who answers because of it, and how it may change."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agiwb.errors import WorkspaceError
from agiwb.serving.rollout.comparison import Comparison
from agiwb.serving.rollout.guards import Broken, Watch
from agiwb.serving.rollout.split import Split, Upcoming, split_of
from agiwb.serving.rollout.state import (
    Action,
    Canary,
    Change,
    Decided,
    Guards,
    RolloutState,
    Shadow,
)
from agiwb.serving.rollout.store import RolloutStore
from agiwb.serving.status import Code, Refusal

_log = logging.getLogger(__name__)


class ModelRollout:
    """One model's rollout. Thread-safe; what a request asks of it takes no lock.

    Attributes:
        split: Who answers.
        watch: Of the canary; None without one.
        comparison: Of the shadow; None without one.
    """

    def __init__(
        self,
        name: str,
        base_path: Path,
        available: Callable[[], Sequence[int]],
        lead_s: float = 0.0,
    ) -> None:
        self.name = name
        self._lead_s = lead_s
        self.store = RolloutStore(base_path)
        self.split: Split | Upcoming = Split(name, None)
        self.watch: Watch | None = None
        self.comparison: Comparison | None = None
        self._available = available
        self._state = RolloutState()
        self._stamp: tuple[int, int] | None = None
        self._changing = threading.RLock()
        self.refresh()

    @property
    def state(self) -> RolloutState:
        """The state that is in force."""
        return self._state

    @property
    def champion(self) -> int | None:
        """The version that answers everybody but a canary's clients; None if none is loaded."""
        return self._state.champion_among(self._available())

    def refresh(self) -> None:
        """Follow the state's file, which another process may have changed, and the versions."""
        with self._changing:
            stamp = self.store.stamp()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._state = self.store.load()
                except WorkspaceError as error:
                    _log.error("%s The highest version of %s answers.", error, self.name)
                    self._state = RolloutState()
            self._apply()

    def set_canary(
        self, version: int, share: float, guards: Guards, decided: Decided
    ) -> RolloutState:
        """Have ``version`` answer a ``share`` of the clients; 0 ends the canary."""
        with self._changing:
            state = self._fresh(decided.revision)
            if share == 0:
                return self._change(state, "canary", {"canary": None}, decided)
            self._require(version)
            champion = self._champion_beside(state, version)
            if guards.max_disagreement is not None and (
                state.shadow is None or state.shadow.version != version
            ):
                raise Refusal(
                    Code.FAILED_PRECONDITION,
                    f"`max_disagreement` needs version {version} as a shadow to compare with.",
                    f"Set the shadow of {self.name} to version {version} first.",
                )
            canary = Canary(version=version, share=share, guards=guards)
            update = {"canary": canary, "champion": champion}
            return self._change(state, "canary", update, decided)

    def set_shadow(self, version: int, share: float, decided: Decided) -> RolloutState:
        """Have ``version`` answer a ``share`` of the requests once more; 0 ends the shadow."""
        with self._changing:
            state = self._fresh(decided.revision)
            canary = state.canary
            guarded = canary is not None and canary.guards.max_disagreement is not None
            if canary is not None and guarded and (share == 0 or version != canary.version):
                raise Refusal(
                    Code.FAILED_PRECONDITION,
                    "The canary's guard `max_disagreement` needs this shadow.",
                    "End the canary, or set it without that guard, first.",
                )
            if share == 0:
                return self._change(state, "shadow", {"shadow": None}, decided)
            self._require(version)
            update: dict[str, Any] = {"shadow": Shadow(version=version, share=share)}
            if version == state.champion_among(self._available()):  # it is to answer nobody
                update["champion"] = self._champion_beside(state, version)
            return self._change(state, "shadow", update, decided)

    def promote(self, version: int | None, decided: Decided) -> RolloutState:
        """Make ``version``, by default the challenger, the champion; canary and shadow end."""
        with self._changing:
            state = self._fresh(decided.revision)
            chosen = state.canary.version if version is None and state.canary else version
            if chosen is None:
                raise Refusal(
                    Code.FAILED_PRECONDITION,
                    f"No challenger of {self.name} is on trial that could be promoted.",
                    "Name the version to promote.",
                )
            self._require(chosen)
            before = state.champion_among(self._available())
            ends = {"canary": None, "shadow": None, "champion": chosen}
            if before != chosen:
                ends["previous"] = before
            return self._change(state, "promote", ends, decided, self._evidence())

    def roll_back(self, decided: Decided) -> RolloutState:
        """End the canary, or else return to the champion before the last promotion."""
        with self._changing:
            state = self._fresh(decided.revision)
            if state.canary is not None:
                ends = {"canary": None}
                return self._change(state, "roll_back", ends, decided, self._evidence())
            if state.previous is None:
                raise Refusal(
                    Code.FAILED_PRECONDITION,
                    f"{self.name} has no canary to end and no promotion to undo.",
                    "Promote the version that should answer.",
                )
            self._require(state.previous)
            back = {"champion": state.previous, "previous": None, "shadow": None}
            return self._change(state, "roll_back", back, decided, self._evidence())

    def pin(self, decided: Decided) -> RolloutState:
        """Have the version that answers go on answering, whatever else is loaded."""
        with self._changing:
            state = self._fresh(decided.revision)
            answers = state.champion_among(self._available())
            return self._change(state, "pin", {"champion": answers}, decided)

    def unpin(self, decided: Decided) -> RolloutState:
        """Serve the highest version again, as without a rollout; canary and shadow end."""
        with self._changing:
            state = self._fresh(decided.revision)
            none = dict.fromkeys(("champion", "previous", "canary", "shadow"))
            return self._change(state, "unpin", none, decided)

    def judge(self) -> Broken | None:
        """Roll back if a guard is broken, and return which.

        The clients are back on the champion at once; if that then cannot be written, it holds for
        this process, and is logged as an error.
        """
        watch = self.watch
        broken = watch.judge(self.comparison) if watch is not None else None
        if broken is None:
            return None
        with self._changing:
            if self.watch is not watch:  # changed meanwhile
                return None
            before = self._state
            self._state = before.model_copy(update={"canary": None})
            self._apply()
            decided = Decided(who=f"guard {broken.guard}", why=broken.problem)
            evidence = {**self._evidence(), **broken.evidence}
            try:
                update = {"canary": None}
                self._change(before, "roll_back", update, decided, evidence, at_once=True)
            except (Refusal, WorkspaceError) as error:
                _log.error("The roll-back of %s is not on disk: %s", self.name, error)
        return broken

    def describe(self) -> dict[str, Any]:
        """Return the rollout as JSON can say it."""
        with self._changing:
            state, watch, comparison = self._state, self.watch, self.comparison
            answers = state.champion_among(self._available())
        return {
            "model": self.name,
            "revision": state.revision,
            "available": list(self._available()),
            "champion": answers,
            "pinned": state.champion,
            "previous": state.previous,
            "canary": state.canary.model_dump() if state.canary else None,
            "watch": watch.describe() if watch else None,
            "shadow": state.shadow.model_dump() if state.shadow else None,
            "comparison": comparison.describe() if comparison else None,
            "ledger": [change.model_dump(by_alias=True) for change in self.store.ledger()],
        }

    def _fresh(self, revision: int | None) -> RolloutState:
        """Return the state on disk, which must be the one the caller decided upon."""
        state = self.store.load()
        if revision is not None and revision != state.revision:
            raise Refusal(
                Code.ABORTED,
                f"The rollout of {self.name} is at revision {state.revision}, not {revision}.",
                "Look at it again, and decide again.",
            )
        return state

    def _change(
        self,
        state: RolloutState,
        action: Action,
        update: dict[str, Any],
        decided: Decided,
        evidence: dict[str, Any] | None = None,
        *,
        at_once: bool = False,
    ) -> RolloutState:
        """Write what follows ``state``, then act on it."""
        following = state.model_copy(update={**update, "revision": state.revision + 1})
        change = Change(
            revision=following.revision,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            who=decided.who,
            action=action,
            before=state.roles(),
            after=following.roles(),
            why=decided.why,
            decision=decided.decision,
            evidence=evidence or {},
        )
        in_force_at = time.time() + self._lead_s if self._lead_s and not at_once else 0.0
        following = following.model_copy(update={"last_change": change, "in_force_at": in_force_at})
        self.store.swap(state.revision, following)
        self._stamp = self.store.stamp()
        self._state = following
        self._apply()
        return following

    def _apply(self) -> None:
        """Have split, watch and comparison follow the state, as far as its versions are loaded."""
        state = self._state
        self.split = split_of(self.name, state, self._available())
        canary, shadow = state.canary, state.shadow
        if canary is None:
            self.watch = None
        elif self.watch is None or self.watch.canary != canary:
            self.watch = self._watch(state.champion, canary)
        if shadow is None:
            self.comparison = None
        elif self.comparison is None or self.comparison.version != shadow.version:
            self.comparison = Comparison(shadow.version)

    def _watch(self, champion: int | None, canary: Canary) -> Watch:
        """Return the watch of a canary; one whose share alone changed keeps what it has seen."""
        former = self.watch
        if former and former.canary.model_copy(update={"share": canary.share}) == canary:
            former.canary = canary
            return former
        return Watch(champion, canary)

    def _require(self, version: int) -> None:
        available = self._available()
        if version not in available:
            raise Refusal(
                Code.NOT_FOUND,
                f"Version {version} of {self.name} is not available; available are: "
                f"{', '.join(map(str, available)) or 'none'}.",
                "Publish it, and have the model's version policy keep both versions loaded.",
            )

    def _champion_beside(self, state: RolloutState, challenger: int) -> int:
        """Return the champion there is besides ``challenger``."""
        others = [version for version in self._available() if version != challenger]
        if state.champion in others:
            return state.champion
        if state.champion == challenger or not others:
            raise Refusal(
                Code.FAILED_PRECONDITION,
                f"Version {challenger} of {self.name} is the one that answers: it has no other "
                "version beside it to challenge.",
                "Name another version, or another model to load as one.",
            )
        return max(others)

    def _evidence(self) -> dict[str, Any]:
        """Return what is known of the challenger at this moment."""
        known: dict[str, Any] = {}
        if self.watch is not None:
            known |= self.watch.describe()
        if self.comparison is not None:
            known["comparison"] = self.comparison.describe()
        return known
