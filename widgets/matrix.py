"""The panel that runs notebooks with many parameters, and shows how each combination ends."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as ipw
import traitlets

from agiwb.batch.jupyter import lab_link
from agiwb.batch.matrix_config import Entry, MatrixConfig
from agiwb.batch.matrix_files import matrix_files, outcome_told
from agiwb.batch.matrix_record import INDEX_FILE, MatrixRecord
from agiwb.settings import project_root
from widgets.guard import GuardedState, guarded
from widgets.live import LiveEvents
from widgets.selection import Selection
from widgets.step_panel import StepPanel
from widgets.wording import problem_line, row

_STYLE = {"description_width": "12rem"}
_WIDE = {"width": "min(100%, 40rem)"}
_BASIC = ("name", "workers", "retries", "fail_fast")
_MOST_ROWS = 200


class MatrixState(GuardedState):
    """The combinations of a matrix, and what is known of each so far."""

    config = traitlets.Any(None, allow_none=True, help="The matrix of the file read last")
    outcomes = traitlets.Tuple(help="(combination, what came of it) of each, in order")

    def __init__(self) -> None:
        super().__init__()
        self.told = LiveEvents()
        self._entries: list[Entry] = []
        self.told.observe(self._tell, "events")

    @guarded
    def read(self, path: str) -> None:
        """Read the matrix that a file describes."""
        self.config = None  # a file that has not changed is read again all the same
        self.config = MatrixConfig.from_yaml(path)

    def show(self, config: MatrixConfig | None) -> None:
        """Show the combinations of a matrix, of which nothing is known."""
        self._entries = [] if config is None else config.entries()
        self.told.events = ()
        self._tell()

    def follow(self, job_id: str, config: MatrixConfig) -> None:
        """Show the combinations of a job's matrix, and how they end."""
        self._entries = config.entries()
        self.told.follow(job_id)
        self._tell()

    def _tell(self, _: Any = None) -> None:
        known = {}
        for event in self.told.events:
            if (found := outcome_told(event.message, self._entries)) is not None:
                known[found[0]] = found[1]
        self.outcomes = tuple(
            (entry.name, known.get(entry.name, "not yet")) for entry in self._entries
        )


class MatrixPanel(StepPanel):
    """What the command ``agiwb matrix`` does: choose a file, see each combination, open the index.

    Cancel and Resume are the job's: what has finished is kept.
    """

    children: tuple[ipw.Widget, ...]

    def __init__(self, selection: Selection | None = None) -> None:
        self.matrix = MatrixState()
        self.table, self.index = ipw.HTML(), ipw.HTML()
        self.table.add_class("agiwb-scroll")
        files = [str(path) for path in matrix_files(project_root())]
        self.file = ipw.Combobox(
            description="Matrix file", options=files, placeholder="a YAML file", style=_STYLE,
            layout=_WIDE,
        )  # fmt: skip
        self.read = ipw.Button(description="Read it", layout={"width": "auto"})
        super().__init__("matrix", selection, verb="Run the matrix", basic=_BASIC)
        self.read.on_click(lambda _: self.matrix.read(self.file.value))
        self.matrix.observe(self._fill_in, "config")
        self.state.form.observe(self._show_combinations, "config")
        self.state.observe(self._show_index, "record")
        self.matrix.observe(self._show_table, "outcomes")
        sheet, summary, *rest = self.children
        form, *rest = rest
        self.children = (
            sheet, summary, row(self.file, self.read), problem_line(self.matrix), form, *rest[:3],
            self.table, self.index, *rest[3:],
        )  # fmt: skip
        self._show_table()
        self._show_index()

    def static_html(self) -> str:
        """Return the newest matrix, how its combinations ended, and where the index is."""
        return f"{super().static_html()}{self.table.value}{self.index.value}"

    def _show_job(self, change: Any) -> None:
        super()._show_job(change)
        if (job := change["new"]) is not None:
            self.matrix.follow(job.id, MatrixConfig.from_mapping(job.config))

    def _is_shown(self, message: str) -> bool:
        return any(message.partition("  ")[2].startswith(name) for name, _ in self.matrix.outcomes)

    def _fill_in(self, change: Any) -> None:
        if change["new"] is not None:
            self.state.form.load(change["new"].model_dump(mode="json"))

    def _show_combinations(self, change: Any) -> None:
        if self.state.job is None or self.state.job.has_ended:
            self.matrix.show(change["new"])

    def _show_table(self, _: Any = None) -> None:
        shown = self.matrix.outcomes[:_MOST_ROWS]
        if not shown:
            self.table.value = (
                '<p class="agiwb-soft">Read a matrix file to see its combinations, or write the '
                "matrix itself among the further settings.</p>"
            )
            return
        rows = "".join(
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(said)}</td></tr>'
            for name, said in shown
        )
        more = len(self.matrix.outcomes) - len(shown)
        self.table.value = f"<table>{rows}</table>" + (f"<p>and {more} more</p>" if more else "")

    def _show_index(self, _: Any = None) -> None:
        record = self.state.record
        if not isinstance(record, MatrixRecord):
            self.index.value = ""
            return
        path = record.file(INDEX_FILE)
        link = lab_link(path)
        words = "The index of all executed notebooks"
        self.index.value = (
            f'<p><a href="{escape(link)}" target="_blank">{words}</a></p>'
            if link is not None
            else f"<p>{words} is <code>{escape(str(path))}</code>.</p>"
        )
