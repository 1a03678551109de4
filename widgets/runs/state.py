"""The history of the workspace, and the one or two runs of it that are looked at."""

from __future__ import annotations

from typing import Any, cast

import traitlets

from agiwb.errors import InputError
from agiwb.history.entries import HistoryEntry, filtered, find_entry, read_history
from agiwb.history.lineage import lineage
from agiwb.history.tidying import delete, note, pin, restore
from agiwb.runs.record import RunState
from widgets.guard import guarded
from widgets.polled import PolledState


class RunsState(PolledState):
    """What is listed, which run is chosen, and what was found out about it, as HTML."""

    entries = traitlets.Tuple(help="Those the filters let by")
    step = traitlets.Unicode(None, allow_none=True)
    state = traitlets.Unicode(None, allow_none=True)
    text = traitlets.Unicode("")
    chosen = traitlets.Unicode(None, allow_none=True)
    comparison = traitlets.Unicode("", help="HTML: two runs side by side")
    lineage = traitlets.Unicode("", help="HTML: where the chosen run comes from")
    told = traitlets.Unicode("", help="What the last action did")
    undo = traitlets.Unicode(
        None, allow_none=True, help="The run that was deleted last, and can be restored"
    )
    job = traitlets.Unicode(
        None, allow_none=True, help="The job that runs a run again; it outlives this kernel"
    )
    addresses = traitlets.Unicode("", help="HTML: where other views of the history are")

    def __init__(self) -> None:
        super().__init__()
        self._all: list[HistoryEntry] = []
        self.refresh()

    @property
    def entry(self) -> HistoryEntry:
        """The chosen run.

        Raises:
            InputError: None is chosen.
        """
        if self.chosen is None:
            raise InputError("No run is chosen.", "Choose one of the list first.")
        return find_entry(self.chosen, self._all)

    def refresh(self) -> None:
        """Read the history again."""
        self._all = read_history()
        self._filter()

    def all_of_step(self, step: str | None) -> list[HistoryEntry]:
        """Return every run of a step, whatever the filters say: the other one may be hidden."""
        return [entry for entry in self._all if entry.step == step]

    @guarded
    def compare(self, other: str | None) -> None:
        """Show the chosen run beside another of its step."""
        if other is None:
            raise InputError("There is nothing to compare with.", "Choose a second run.")
        first, second = self.entry.id, other
        self.begin("comparing", lambda: self._compare(first, second))

    def _compare(self, first: str, second: str) -> None:
        from agiwb.history.comparison import compare
        from agiwb.runs.store import open_store

        store = open_store()
        self._show(compare(store.get(first), store.get(second)))

    @guarded
    def trace(self) -> None:
        """Draw the runs that lead to the chosen one, and from it."""
        from agiwb.reporting.history import plot_lineage

        found = lineage(self.entry.id, self._all)
        gone = f"<p>No longer here: {', '.join(found.missing)}.</p>" if found.missing else ""
        self.lineage = f"<figure>{plot_lineage(found).html()}</figure>{gone}"

    @guarded
    def reproduce(self) -> None:
        """Run the chosen run's config anew, as a job, and compare what comes of it."""
        run_id = self.entry.id
        self.begin(f"running {self.entry.name} again", lambda: self._reproduce(run_id))

    def _reproduce(self, run_id: str) -> None:
        from agiwb.history.reproduction import judge, run_again

        self.told = ""
        job = run_again(run_id)
        self.job = job.id
        job.wait()
        self._show(judge(run_id, job))
        self.job = None  # what came of it says more
        self.refresh()

    @guarded
    def pin(self) -> None:
        """Pin the chosen run, or unpin it."""
        entry = self.entry
        pinned = pin(entry.id, pinned=not entry.mark.pinned).pinned
        self.told = f"{entry.name} is {'pinned' if pinned else 'no longer pinned'}."
        self.refresh()

    @guarded
    def write_note(self, text: str) -> None:
        """Keep a note with the chosen run."""
        note(self.entry.id, text)
        self.told = f"The note is kept with {self.entry.name}."
        self.refresh()

    @guarded
    def delete(self) -> None:
        """Delete the chosen run; ``restore`` undoes it."""
        entry = self.entry

        def work() -> None:
            self.undo = delete(entry.id)
            self.told = f"{entry.name} is deleted."
            self.chosen = None
            self.refresh()

        self.begin(f"deleting {entry.name}", work)

    @guarded
    def restore(self) -> None:
        """Bring back the run that was deleted last."""
        gone = self.undo
        if gone is None:
            raise InputError("Nothing was deleted here.", "`agiwb runs list --deleted` shows more.")

        def work() -> None:
            restore(gone)
            self.undo, self.told = None, f"Run {gone[:8]} is back."
            self.refresh()
            self.chosen = gone

        self.begin("restoring", work)

    @guarded
    def give_addresses(self) -> None:
        """Start MLflow's own pages unless they run, and say where they and TensorBoard are."""
        self.begin("starting MLflow's pages", self._give_addresses)

    def _give_addresses(self) -> None:
        from agiwb.batch.mlflow_pages import mlflow_address

        address = mlflow_address()
        self.addresses = (
            f'<p>MLflow: <a href="{address}" target="_blank">{address}</a>. TensorBoard: the tile '
            "of this name on JupyterLab's launcher, or <code>/tensorboard/</code> on its address."
            "</p>"
        )

    @traitlets.observe("step", "state", "text")
    def _filter(self, _: Any = None) -> None:
        shown = filtered(self._all, self.step, cast("RunState | None", self.state), self.text)
        if list(self.entries) != shown:
            self.entries = tuple(shown)

    @traitlets.observe("chosen")
    def _forget(self, _: Any) -> None:
        self.comparison, self.lineage = "", ""

    def _show(self, made: Any) -> None:
        from html import escape

        from agiwb.reporting.history import comparison_table, plot_both_curves

        picture = plot_both_curves(made)
        figure = f"<figure>{picture.html()}</figure>" if picture is not None else ""
        table = f'<div class="agiwb-scroll">{comparison_table(made).html()}</div>'
        self.comparison = f'<p role="status">{escape(made.sentence())}</p>{figure}{table}'
