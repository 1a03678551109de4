"""A server under load, and other versions on trial: the state of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import traitlets

from agiwb.errors import InputError
from widgets.background import BusyState
from widgets.guard import guarded
from widgets.serve.servers import ServersState


class TrafficState(BusyState):
    """The last load test, who answers, and what is on trial."""

    load_test = traitlets.Any(None, allow_none=True)
    rollout: traitlets.Dict[str, Any] = traitlets.Dict(help="As Endpoint.rollout tells it")
    told = traitlets.Unicode("", help="What the last change did")
    rivals = traitlets.Tuple(help="Models that could be put on trial")

    def __init__(self, servers: ServersState) -> None:
        super().__init__()
        self._servers = servers
        servers.observe(self._forget, "chosen")
        servers.observe(self._find_out, "state")
        servers.selection.observe(self._find_out, "artifact")
        self._find_out()

    @guarded
    def measure(self, seconds: float, concurrency: int) -> None:
        """Ask the server the same again and again for some seconds."""
        endpoint = self._servers.endpoint

        def work() -> None:
            self.load_test = endpoint.load_test(seconds=seconds, concurrency=concurrency)

        self.begin(f"asking for {seconds:g} seconds", work)

    @guarded
    def shadow(self, model: str, percent: float) -> None:
        """Have another version answer a share of the requests too, unseen, and be compared."""
        endpoint, wanted = self._servers.endpoint, _reference(model)
        self._change(
            f"loading {model}",
            lambda: (
                f"Version {endpoint.shadow(wanted, percent / 100)} is asked {percent:g} % of "
                "the requests too; nobody sees its answers."
            ),
        )

    @guarded
    def canary(self, model: str, percent: float) -> None:
        """Have another version answer a share of the clients."""
        endpoint, wanted = self._servers.endpoint, _reference(model)
        self._change(
            f"loading {model}",
            lambda: (
                f"Version {endpoint.canary(wanted, percent / 100)} answers {percent:g} % of the "
                "clients."
            ),
        )

    @guarded
    def promote(self, why: str = "", *, ungated: bool = False) -> None:
        """Have the canary answer everybody, by the model's ledger if it keeps one."""
        endpoint = self._servers.endpoint
        self._change(
            "promoting",
            lambda: f"Version {endpoint.promote(why=why, ungated=ungated)} answers everybody.",
        )

    @guarded
    def roll_back(self, why: str = "") -> None:
        """End the canary; without one, undo the last promotion."""
        endpoint = self._servers.endpoint

        def work() -> str:
            endpoint.roll_back(why)
            return f"Rolled back: version {endpoint.rollout()['champion']} answers everybody."

        self._change("rolling back", work)

    @guarded
    def refresh(self) -> None:
        """Ask the server who answers, and look up who else could."""
        self.rollout = self._servers.endpoint.rollout()
        self.rivals = self._servers.rivals()

    def _change(self, what: str, change: Callable[[], str]) -> None:
        endpoint = self._servers.endpoint

        def work() -> None:
            self.told = ""
            self.told = change()
            self.rollout = endpoint.rollout()

        self.begin(what, work)

    def _find_out(self, _: Any = None) -> None:
        """Have what other kernels have put on trial shown too."""
        if self._servers.state == "running":
            self.refresh()

    def _forget(self, _: Any) -> None:
        self.load_test, self.rollout, self.told = None, {}, ""


def _reference(model: str) -> str | int:
    """Return a version's number, or the reference of a model."""
    if not model.strip():
        raise InputError("No version is named.", "Give a version's number, or a model.")
    return int(model) if model.strip().isdecimal() else model.strip()
