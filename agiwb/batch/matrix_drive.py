"""The loop of a matrix: keep the crew busy, try again what failed, and collect what was made."""

from __future__ import annotations

import itertools
import shutil
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from agiwb.batch.failed_cell import run_command
from agiwb.batch.matrix_cache import NotebookCache
from agiwb.batch.matrix_config import Entry, MatrixConfig
from agiwb.batch.matrix_entry import Attempt, CellsDone, Order, carry_out
from agiwb.batch.matrix_record import PAGES, EntryResult
from agiwb.batch.notebook import EXECUTED_FILE, HTML_FILE, RunConfig, RunRecord
from agiwb.crews.crew import Crew, Died, Ending, Raised
from agiwb.runs.context import Context
from agiwb.settings import Settings

_PHASE = "notebooks"


@dataclass
class _Begun:
    entry: int
    began: float


class Driver:
    """Carries a matrix out. ``results`` says at any time how far it is."""

    def __init__(self, config: MatrixConfig, cache: NotebookCache | None, context: Context) -> None:
        self._config = config
        self._cache = cache
        self._context = context
        self._entries = config.entries()
        self._results: dict[int, EntryResult] = {}
        self._attempts = [0] * len(self._entries)
        self._waiting: deque[int] = deque()
        self._running: dict[int, _Begun] = {}
        self._durations_s: list[float] = []
        self._over = ""
        """Why nothing more is begun."""

    @property
    def results(self) -> tuple[EntryResult, ...]:
        """How each entry ended; what has not run is skipped."""
        why = self._over or "It was not run: the matrix was interrupted."
        return tuple(
            self._results.get(number) or self._result(entry, "skipped", number, reason=why)
            for number, entry in enumerate(self._entries)
        )

    def take_known(self) -> int:
        """Take the results that still hold; return how many entries are left to run."""
        for number, entry in enumerate(self._entries):
            known = self._cache.find(_absolute(entry)) if self._cache is not None else None
            if known is None:
                self._waiting.append(number)
            else:
                self._finish(number, known, reused=True)
        return 0 if self._over else len(self._waiting)

    def run(self, crew: Crew) -> None:
        """Run all entries that are left.

        Raises:
            CancelledError: The user asked to stop; what has finished is kept.
            WorkError: The crew cannot run notebooks.
        """
        numbers = itertools.count()
        while (self._waiting or self._running) and not self._over:
            while self._waiting and len(self._running) < crew.size():
                entry, number = self._waiting.popleft(), next(numbers)
                self._attempts[entry] += 1
                crew.start(number, carry_out, self._order(self._entries[entry]))
                self._running[number] = _Begun(entry, time.monotonic())
            for ending in crew.wait(self._told, self._context.stop_if_cancelled):
                self._hear(ending, crew.size())

    def _told(self, number: int, said: object) -> None:
        if isinstance(said, CellsDone) and len(self._running) == 1:
            name = self._entries[self._running[number].entry].name
            self._context.progress(name, said.done, said.total)

    def _order(self, entry: Entry) -> Order:
        workspace = Settings().workspace_path
        return Order(_absolute(entry), workspace, self._context.run.id)

    def _hear(self, ending: Ending, at_once: int) -> None:
        begun = self._running.pop(ending.number)
        seconds = time.monotonic() - begun.began
        if isinstance(ending, Raised):
            raise ending.error
        if isinstance(ending, Died):
            self._context.store.close_lost()
        made = Attempt(reason=ending.reason) if isinstance(ending, Died) else ending.value
        self._durations_s.append(seconds)
        if made.run_id is not None:
            record = self._context.store.get(made.run_id)
            if isinstance(record, RunRecord):
                self._finish(begun.entry, record, reused=False, at_once=at_once)
                return
        if made.may_be_retried and self._attempts[begun.entry] <= self._config.retries:
            attempt = self._attempts[begun.entry]
            self._context.say(f"{self._entries[begun.entry].name}: attempt {attempt} failed.")
            self._waiting.append(begun.entry)
            return
        self._fail(begun.entry, made, seconds, at_once)

    def _finish(self, number: int, record: RunRecord, *, reused: bool, at_once: int = 1) -> None:
        entry = self._entries[number]
        result = self._result(
            entry,
            "passed" if record.passed else "failed",
            number,
            reused=reused,
            run_id=record.run.id,
            seconds=record.run.duration_s,
            reason=" ".join(record.problems),
            results=record.results,
            page=self._keep_page(entry, record.file(EXECUTED_FILE), record.file(HTML_FILE)),
        )
        self._take(number, result, at_once)

    def _fail(self, number: int, made: Attempt, seconds: float, at_once: int) -> None:
        entry = self._entries[number]
        executed = made.executed
        page = self._keep_page(entry, executed, executed.with_name(HTML_FILE)) if executed else None
        result = self._result(
            entry, "failed", number, seconds=seconds, reason=made.reason, page=page
        )
        if made.cell is not None:  # the paths as they were given
            given = {"notebook": result.notebook, "command": result.command}
            result = result.model_copy(update={"cell": made.cell.model_copy(update=given)})
        self._take(number, result, at_once)

    def _take(self, number: int, result: EntryResult, at_once: int) -> None:
        self._results[number] = result
        done, total = len(self._results), len(self._entries)
        took = f" in {result.seconds:.1f} s" if result.seconds and not result.reused else ""
        why = result.cell.sentence() if result.cell is not None else result.reason
        self._context.say(
            f"{done} of {total}  {result.name}: {result.how}{took}" + (f": {why}" if why else "")
        )
        values = {}
        if self._durations_s and done < total:
            left = fmean(self._durations_s) * (total - done) / at_once
            values["seconds_left"] = round(left, 1)
        self._context.progress(_PHASE, done, total, **values)
        if result.outcome == "failed" and self._config.fail_fast:
            self._over = f"It was not run to its end: {result.name} failed first (`fail_fast`)."

    def _result(self, entry: Entry, outcome: str, number: int, **more: object) -> EntryResult:
        return EntryResult.model_validate(
            {
                "name": entry.name,
                "notebook": str(entry.config.notebook),
                "parameters": entry.config.parameters,
                "command": run_command(entry.config.notebook, entry.config.parameters),
                "outcome": outcome,
                "attempts": self._attempts[number],
                **more,
            }
        )

    def _keep_page(self, entry: Entry, executed: Path, page: Path) -> str | None:
        """Return where the executed notebook's page lies among the matrix's files."""
        folder = self._context.files / PAGES
        folder.mkdir(exist_ok=True)
        for made in (executed, page):
            if made.is_file():
                shutil.copyfile(made, folder / f"{entry.slug}{made.suffix}")
        return f"{PAGES}/{entry.slug}{page.suffix}" if page.is_file() else None


def _absolute(entry: Entry) -> RunConfig:
    """Return what to run, wherever the process that runs it has its current folder."""
    return entry.config.model_copy(update={"notebook": entry.config.notebook.resolve()})
