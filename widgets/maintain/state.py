"""Where the chosen model stands, and what a person decides about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import traitlets

from agiwb.errors import AgiwbError, InputError, NotFoundError
from agiwb.history.entries import HistoryEntry, read_history
from agiwb.jobs.job import open_job
from agiwb.maintenance.deciding import (
    PromoteConfig,
    RollBackConfig,
    announce_promotion,
    announce_roll_back,
    promote_model,
    roll_back_model,
    told,
)
from agiwb.maintenance.ledger import is_shared
from agiwb.maintenance.overview import count_new_labels, maintained_models, overview
from agiwb.serving.detached import list_servers
from widgets.background import BusyState
from widgets.guard import guarded
from widgets.polled import PolledState
from widgets.selection import Selection


class MaintainState(PolledState):
    """One registered model: its standing, its servers, and a decision that waits to be confirmed.

    All is read from the ledger and the workspace's files, so that it is the same in every kernel.
    """

    models = traitlets.Tuple(help="Registered names, the newest first")
    model = traitlets.Unicode(None, allow_none=True, help="The one that is looked at")
    servers = traitlets.Tuple(help="(id, served model, address) of each that runs")
    server = traitlets.Unicode("", help="Id of the one that follows a decision; empty for none")
    overview = traitlets.Any(None, allow_none=True, help="Where the model stands, as last read")
    unread = traitlets.Unicode("", help="Why that cannot be read now")
    labels = traitlets.Int(None, allow_none=True, help="Labelled rows since the champion's making")
    asked = traitlets.Unicode("", help="What waits to be confirmed, in a sentence")
    told = traitlets.Unicode("", help="What the last decision did")

    def __init__(self, selection: Selection | None = None) -> None:
        super().__init__()
        self.selection = selection or Selection()
        self.counting = BusyState()
        self.reading = BusyState()
        self._pending: PromoteConfig | RollBackConfig | None = None
        self.refresh()
        self.selection.observe(self._take_selected, "model")

    def refresh(self) -> None:
        """Read the workspace again; what is wrong with a decision stays on screen."""
        entries = read_history()
        self.models = tuple(maintained_models(entries))
        if self.model not in self.models:
            self._take_selected()
        self._take_servers(tuple(_running()))
        self._look_up(entries)

    def count_labels(self) -> None:
        """Count the labels that have arrived since the champion was made: that reads the log."""
        seen = self.overview
        if seen is None or self.counting.busy:
            return

        def work() -> None:
            self.labels = count_new_labels(seen, self._served_as())

        self.counting.begin("counting labels", work)

    @guarded
    def ask_to_promote(self, version: str, why: str, *, ungated: bool = False) -> None:
        """Say what a promotion would do, for it to be confirmed.

        Args:
            version: Its number in the registry; empty for the challenger.
            why: Reason, for the ledger.
            ungated: Do without the gate's consent.
        """
        if version.strip() and not version.strip().isdecimal():
            raise InputError(f"{version!r} is no version.", "Give its number, or nothing.")
        number = int(version) if version.strip() else self._challenger()
        config = PromoteConfig.from_mapping(
            {**self._where(), "version": number, "why": why, "ungated": ungated}
        )
        self.begin("asking what the gate has said", lambda: self._ask(config))

    @guarded
    def ask_to_roll_back(self, why: str) -> None:
        """Say what a roll-back would do, for it to be confirmed."""
        config = RollBackConfig.from_mapping({**self._where(), "why": why})
        self.begin("reading the ledger", lambda: self._ask(config))

    @guarded
    def confirm(self) -> None:
        """Carry out what was asked."""
        config, self._pending, self.asked = self._pending, None, ""
        if config is not None:
            self.begin("deciding", lambda: self._decide(config))

    def withdraw(self) -> None:
        """Leave everything as it is."""
        self._pending, self.asked, self.told = None, "", "Nothing was changed."

    @guarded
    def stop_watching(self) -> None:
        """Ask the job that watches the model to stop."""
        seen = self.overview
        if seen is None or seen.watching is None:
            raise InputError("Nothing watches this model.")
        open_job(seen.watching).cancel()
        self.told = f"Job {seen.watching[:8]} is asked to stop."

    def _ask(self, config: PromoteConfig | RollBackConfig) -> None:
        self.told, self.asked = "", ""
        if isinstance(config, PromoteConfig):
            sentence = announce_promotion(config)
        else:
            sentence = announce_roll_back(config)
        self._pending, self.asked = config, sentence

    def _decide(self, config: PromoteConfig | RollBackConfig) -> None:
        if isinstance(config, PromoteConfig):
            standing = promote_model(config)
        else:
            standing = roll_back_model(config)
        self.told = told(config.model, standing)
        self.refresh()

    def _where(self) -> dict[str, Any]:
        if self.model is None:
            raise InputError("No model is chosen.", "Train one, and give it a name.")
        seen = self.overview
        return {
            "model": self.model,
            "server": self.server or None,
            "revision": None if seen is None else seen.standing.revision,
        }

    def _challenger(self) -> int:
        rival = None if self.overview is None else self.overview.standing.challenger
        if rival is None:
            raise InputError(
                "There is no challenger to promote.", "Give the version's number, or retrain."
            )
        return int(rival.version)

    def _take_servers(self, found: tuple[tuple[str, str, str], ...]) -> None:
        if found == self.servers:  # that none is to follow may be what a person chose
            return
        self.servers = found
        if self.server not in {one for one, _, _ in found}:
            self.server = self._usual_server()

    def _usual_server(self) -> str:
        """Return the server of the model, if one runs."""
        return next((one for one, served, _ in self.servers if served == self.model), "")

    def _served_as(self) -> str | None:
        """Return the name that the chosen server has for the model; None without a server."""
        return next((served for one, served, _ in self.servers if one == self.server), None)

    def _take_selected(self, _: Any = None) -> None:
        chosen = self.selection.model
        if chosen in self.models:
            self.model = chosen
        elif self.model not in self.models:
            self.model = self.models[0] if self.models else None

    def _look_up(self, entries: Sequence[HistoryEntry] | None = None) -> None:
        """Read where the model stands; nobody waits for a database that many share."""
        if not is_shared():
            self._read(entries)
        elif not self.reading.busy:
            self.reading.begin("reading the ledger", lambda: self._read(entries))

    def _read(self, entries: Sequence[HistoryEntry] | None) -> None:
        model = self.model
        try:
            found = None if model is None else overview(model, entries)
        except AgiwbError as error:
            self.unread = str(error)
            return
        if model != self.model:  # another was chosen meanwhile
            self._read(None)
            return
        known, self.unread = self.overview, ""
        if found != known:
            self.overview = found
        if known is None:
            self.count_labels()

    @traitlets.observe("model")
    def _forget(self, _: Any) -> None:
        self._pending, self.asked, self.told, self.labels = None, "", "", None
        self.overview = None
        self.server = self._usual_server()
        self._look_up()


def _running() -> list[tuple[str, str, str]]:
    found = []
    for server in list_servers():
        try:
            said = server.describe()
        except NotFoundError:  # stopped meanwhile
            continue
        if said["state"] == "running":
            found.append((said["id"], said["model"], said["address"]))
    return found
