"""The rollouts of all models that a server serves."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

from agiwb.runtimes.runtime import Tensors
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.rollout.guards import LOOK_EVERY, Broken
from agiwb.serving.rollout.model_rollout import ModelRollout
from agiwb.serving.rollout.shadowing import AskedVersion, Compared, ShadowRunner
from agiwb.serving.rollout.split import LATEST, Choice
from agiwb.serving.rollout.state import Decided, Guards, RolloutState
from agiwb.serving.status import Code, Refusal

_log = logging.getLogger(__name__)

_NO_GUARDS = Guards()
_BY_AN_OPERATOR = Decided(who="operator")


class _Configured(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def base_path(self) -> Path: ...


class ServedVersions(Protocol):
    """What a rollout asks of the catalogue."""

    def models(self) -> Sequence[_Configured]: ...
    def available(self, name: str) -> Sequence[int]: ...
    def lease(self, spec: ModelSpec) -> AbstractContextManager[AskedVersion]: ...


class Rollout:
    """Canary, shadow, promotion and roll-back of each model. Thread-safe.

    The state is in ``.rollout.json`` beside the versions, and each change in the ledger
    ``.rollout.jsonl``. ``choose``, ``observe`` and ``offer`` are for every request: they take
    microseconds, and neither wait nor fail. Every change takes who ``decided`` it and why.

    Raises (of every change):
        Refusal: NOT_FOUND, no such model or version is loaded; FAILED_PRECONDITION, it is not
            possible as things stand; ABORTED, the rollout has another revision.
        WorkspaceError: The files beside the model cannot be read or written.
    """

    def __init__(
        self,
        catalogue: ServedVersions,
        *,
        on_rollback: Callable[[str, Broken], None] | None = None,
        on_compared: Compared | None = None,
        tick_s: float = 1.0,
        lead_s: float = 0.0,
    ) -> None:
        """Hold the rollouts of the models of ``catalogue``.

        Args:
            catalogue: The models and their versions.
            on_rollback: Told of the model and of what was broken after a roll-back by a guard.
            on_compared: Told of model, shadow version, rows compared and rows disagreeing.
            tick_s: How often the state's files and the loaded versions are looked at.
            lead_s: Seconds from a change to its effect, longer than a tick, where other servers
                follow the same files; a guard's roll-back takes effect at once all the same.
        """
        self._catalogue = catalogue
        self._on_rollback = on_rollback
        self._tick_s, self._lead_s = tick_s, lead_s
        self._models: dict[str, ModelRollout] = {}
        self._shadows = ShadowRunner(catalogue.lease, self._compared)
        self._on_compared = on_compared
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._refreshing = threading.Lock()

    def start(self) -> None:
        """Read the states, and start judging and shadowing in threads of their own."""
        self.refresh()
        self._stopping = False
        self._shadows.start()
        self._thread = threading.Thread(target=self._watch, name="rollout", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End both threads."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None
        self._shadows.stop()

    def refresh(self) -> None:
        """Follow the models, their loaded versions and their files."""
        with self._refreshing:
            configured = {model.name: model for model in self._catalogue.models()}
            for name in [name for name in self._models if name not in configured]:
                del self._models[name]
            for name, model in configured.items():
                known = self._models.get(name)
                if known is not None and known.store.base_path == Path(model.base_path):
                    known.refresh()
                else:
                    self._models[name] = self._open(name, Path(model.base_path))

    def versions_changed(self) -> None:
        """Say that a version was loaded or unloaded; the rollouts follow in a moment."""
        self._wake.set()

    def choose(self, model: str, sticky_key: str, request_id: str) -> Choice:
        """Return which version answers: equal keys get equal answers.

        Args:
            model: Name of the model.
            sticky_key: What tells the client; "" if nothing does.
            request_id: Stands in for it. Without either, chance decides.
        """
        rollout = self._models.get(model)
        if rollout is None:
            return LATEST
        return rollout.split.choose(sticky_key or request_id or str(random.random()))  # noqa: S311

    def variant_of(self, model: str, version: int) -> Literal["champion", "challenger"]:
        """Return whether ``version`` is on trial."""
        rollout = self._models.get(model)
        canary = None if rollout is None else rollout.state.canary
        return "champion" if canary is None or canary.version != version else "challenger"

    def observe(self, model: str, version: int, code: Code, seconds: float) -> None:
        """Count an answered or failed request for the guards."""
        rollout = self._models.get(model)
        watch = None if rollout is None else rollout.watch
        if watch is not None and watch.observe(version, code, seconds):
            self._wake.set()

    def offer(
        self,
        version: AskedVersion,
        signature_name: str,
        inputs: Tensors,
        outputs: Tensors,
    ) -> None:
        """Have the shadow answer what the champion has just answered, and compare.

        What another ``version`` has answered is not compared.
        The arrays are kept until then, and must not be changed.
        """
        rollout = self._models.get(version.name)
        if rollout is None:
            return
        comparison, shadow = rollout.comparison, rollout.state.shadow
        if comparison is None or shadow is None or comparison.version == version.number:
            return
        if version.number != rollout.champion:  # of a canary's share, or asked for by its number
            return
        self._shadows.offer(shadow.share, comparison, version, signature_name, inputs, outputs)

    def set_canary(
        self,
        model: str,
        version: int,
        share: float,
        guards: Guards = _NO_GUARDS,
        *,
        decided: Decided = _BY_AN_OPERATOR,
    ) -> RolloutState:
        """Have ``version`` answer a ``share`` (0..1) of the clients; a share of 0 ends that."""
        return self._of(model).set_canary(version, share, guards, decided)

    def set_shadow(
        self,
        model: str,
        version: int,
        share: float = 1.0,
        *,
        decided: Decided = _BY_AN_OPERATOR,
    ) -> RolloutState:
        """Have ``version`` answer a ``share`` (0..1) of the requests to nobody; 0 ends that."""
        return self._of(model).set_shadow(version, share, decided)

    def promote(
        self,
        model: str,
        version: int | None = None,
        *,
        decided: Decided = _BY_AN_OPERATOR,
    ) -> RolloutState:
        """Have ``version``, by default the challenger, answer every client."""
        return self._of(model).promote(version, decided)

    def roll_back(
        self,
        model: str,
        *,
        decided: Decided = _BY_AN_OPERATOR,
    ) -> RolloutState:
        """End the canary; without one, undo the last promotion."""
        return self._of(model).roll_back(decided)

    def pin(self, model: str, *, decided: Decided = _BY_AN_OPERATOR) -> RolloutState:
        """Have the version that answers go on answering, whatever else is loaded."""
        return self._of(model).pin(decided)

    def unpin(
        self,
        model: str,
        *,
        decided: Decided = _BY_AN_OPERATOR,
    ) -> RolloutState:
        """Have the highest version answer again, as without a rollout."""
        return self._of(model).unpin(decided)

    def shares(self, model: str) -> dict[int, float]:
        """Return the share of the clients that each version answers; empty without a canary."""
        rollout = self._models.get(model)
        canary = None if rollout is None else rollout.state.canary
        return {} if canary is None else {canary.version: canary.share}

    def describe(self, model: str) -> dict[str, Any]:
        """Return the rollout of ``model`` in full, as JSON can say it.

        Raises:
            Refusal: NOT_FOUND, no such model is served.
        """
        shadows = {"dropped": self._shadows.dropped, "skipped": self._shadows.skipped}
        return {**self._of(model).describe(), "shadow_queue": shadows}

    def judge(self, model: str) -> Broken | None:
        """Roll ``model`` back if a guard is broken, and return what was."""
        broken = self._of(model).judge()
        if broken is not None:
            _log.warning("%s was rolled back: %s", model, broken.problem)
            if self._on_rollback is not None:
                self._on_rollback(model, broken)
        return broken

    def _compared(self, model: str, version: int, rows: int, disagreeing: int) -> None:
        rollout = self._models.get(model)
        comparison = None if rollout is None else rollout.comparison
        if comparison is not None and comparison.requests % LOOK_EVERY == 0:
            self._wake.set()
        if self._on_compared is not None:
            self._on_compared(model, version, rows, disagreeing)

    def _of(self, model: str) -> ModelRollout:
        rollout = self._models.get(model)
        if rollout is None:
            self.refresh()
            rollout = self._models.get(model)
        if rollout is None:
            raise Refusal(
                Code.NOT_FOUND,
                f"No model {model!r} is served here.",
                f"Served are: {', '.join(sorted(self._models)) or 'none'}.",
            )
        return rollout

    def _open(self, name: str, base_path: Path) -> ModelRollout:
        return ModelRollout(name, base_path, lambda: self._catalogue.available(name), self._lead_s)

    def _watch(self) -> None:
        while not self._stopping:
            self._wake.wait(self._tick_s)
            self._wake.clear()
            try:
                self.refresh()
                for model in list(self._models):
                    self.judge(model)
            except Exception:  # noqa: BLE001  the next look may succeed
                _log.exception("The rollouts could not be judged; the next look is in a moment.")
