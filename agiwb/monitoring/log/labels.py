"""Labels: what was right, told later, perhaps twice, perhaps corrected.

They are kept beside a model's log, ``labels/``, and none is ever overwritten: of several for one
example the one with the newest time holds, of equal times the one received last, and the others
are its history.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from agiwb.errors import InputError, NotFoundError, WorkError, WorkspaceError
from agiwb.monitoring.log.database import connect
from agiwb.monitoring.log.folder import is_logged, label_places
from agiwb.monitoring.log.label_file import read_label_file
from agiwb.monitoring.log.predictions import attempts
from agiwb.monitoring.log.shards import OnStep, live_shards, lock, merge_shards, write_shard
from agiwb.monitoring.log.sharing import bring_up_labels
from agiwb.serving.prediction_log.columns import read_layout
from agiwb.serving.prediction_log.shared import shared_log

_MOST_SHARDS = 64
_GROUP_ROWS = 65_536

NEWEST_LABELS = """
    SELECT request_id, "row", label, label_time, received, source FROM labels
    QUALIFY row_number() OVER (
        PARTITION BY request_id, "row" ORDER BY label_time DESC, received DESC, place DESC
    ) = 1
"""
"""The label that holds, of each example."""


class Label(NamedTuple):
    """What was said of one example: the label as text, Unix times in seconds, and who said so."""

    request_id: str
    row: int
    label: str
    label_time: float
    received: float
    source: str


@dataclass(frozen=True)
class Added:
    """What was added: labels, those that differ from what held before, and those without request.

    Attributes:
        labels: In the file.
        corrections: Of examples that had another label.
        repetitions: Of examples that had the same label.
        without_request: Of requests that the log does not hold, or does not hold any more. They
            are kept: the request may be logged elsewhere and copied later.
        without_row: Of examples that their request does not have.
    """

    labels: int
    corrections: int
    repetitions: int
    without_request: int
    without_row: int


def add_labels(
    folder: Path, file: Path, *, source: str = "", on_step: OnStep = lambda _: None
) -> Added:
    """Add the labels in a file (see ``read_label_file``) to the log in ``folder``, a model's.

    All of them are kept, or none. Adding a file twice changes nothing but the history.

    Args:
        folder: The model's.
        file: CSV, JSON lines or Parquet.
        source: Who says so, where the file does not.
        on_step: Told of each step.

    Raises:
        InputError: The file cannot be read, or a row of it is wrong.
        NotFoundError: Nothing was logged in ``folder``.
        WorkError: The disk is full or fails; nothing was added.
    """
    if not is_logged(folder):
        raise NotFoundError(
            f"No predictions have been logged in {folder}, so there is nothing to label.",
            "Serve the model with `agiwb serve` and send it requests first.",
        )
    received = time.time()
    table = read_label_file(file, received, source)
    try:
        with lock(_folder(folder), waits=True):
            before = _held(folder, table)
            name = f"labels-{int(received * 1e6)}-{secrets.token_hex(4)}.parquet"
            write_shard(_folder(folder) / name, table, group_rows=_GROUP_ROWS, on_step=on_step)
            merge_shards(
                _folder(folder),
                lambda all_of_them: all_of_them,
                beyond=_MOST_SHARDS,
                group_rows=_GROUP_ROWS,
                on_step=on_step,
            )
    except OSError as error:
        raise WorkError(
            f"The labels for {folder} could not be written: {error.strerror or error}.",
            "None of them was added; free some space and run it again.",
        ) from error
    _share(folder)
    corrections, repetitions = before
    return Added(len(table), corrections, repetitions, *_without_example(folder, table))


def label_history(folder: Path, request_id: str) -> list[Label]:
    """Return all that was said of a request's examples; of each, what holds comes first."""
    with connect() as connection:
        define_labels(connection, folder)
        rows = connection.sql(
            'SELECT request_id, "row", label, label_time, received, source FROM labels '
            'WHERE request_id = ? ORDER BY "row", label_time DESC, received DESC, place DESC',
            params=[request_id],
        ).fetchall()
    return [Label(*row) for row in rows]


def count_labels(folder: Path) -> tuple[int, int]:
    """Return how many examples have a label, and how many labels there are with the history's."""
    with connect() as connection:
        define_labels(connection, folder)
        row = connection.sql(
            'SELECT count(DISTINCT (request_id, "row")), count(*) FROM labels'
        ).fetchall()[0]
    return row[0], row[1]


def define_labels(connection: Any, folder: Path, known_by: float = math.inf) -> None:
    """Make a DuckDB table ``labels`` of those that were added to the log in ``folder``.

    Args:
        connection: Where.
        folder: The model's.
        known_by: The last Unix time in seconds at which they were received.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from agiwb.monitoring.log.label_file import label_schema

    tables = [label_schema().empty_table()]
    while True:
        try:
            # Read at once: a merged shard may replace these at any moment.
            shards = live_shards(*label_places(folder))
            tables += [pq.ParquetFile(one.path).read() for one in shards]
        except FileNotFoundError:
            del tables[1:]
            continue
        break
    kept = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
    if known_by < math.inf:
        kept = kept.filter(pc.less_equal(kept["received"], known_by))
    connection.register("labels", kept)


def _share(folder: Path) -> None:
    """Bring the labels up to the object store, or leave that to the next who tries."""
    if (shared := shared_log(folder)) is None:
        return
    try:
        bring_up_labels(folder, shared)
    except WorkspaceError as error:
        logging.getLogger("agiwb").warning(
            "The labels are kept here, but not in the object store yet: they go up with the next "
            "ones, or when the log is looked after. %s",
            error,
        )


def _folder(folder: Path) -> Path:
    return folder / "labels"


def _held(folder: Path, table: Any) -> tuple[int, int]:
    """Return how many of these labels differ from what holds, and how many repeat it."""
    with connect() as connection:
        define_labels(connection, folder)
        connection.register("given", table)
        # The query is a constant.
        row = connection.sql(
            "SELECT count(*) FILTER (given.label != held.label), "  # noqa: S608
            "count(*) FILTER (given.label = held.label) "
            f'FROM given JOIN ({NEWEST_LABELS}) AS held USING (request_id, "row")'
        ).fetchall()[0]
    return row[0], row[1]


def _without_example(folder: Path, table: Any) -> tuple[int, int]:
    """Return how many of these labels have no request, and how many no such row in theirs."""
    for attempt in attempts(folder, -math.inf, math.inf):
        with attempt as connection:
            connection.register("given", table)
            found = connection.sql(
                "SELECT count(*) FROM given ANTI JOIN predictions USING (request_id)"
            ).fetchall()
            later_rows = connection.sql(
                'SELECT "row", layouts, count(*) FROM (SELECT request_id, "row", '
                "list(DISTINCT layout) AS layouts FROM given JOIN predictions USING (request_id) "
                'WHERE "row" > 0 GROUP BY ALL) GROUP BY ALL'
            ).fetchall()
            missing = [
                count for row, layouts, count in later_rows if row >= max(map(_rows, layouts))
            ]
            return int(found[0][0]), sum(missing)
    raise InputError(f"The log in {folder} changed each time it was read.", "Run it again.")


def _rows(layout: str) -> int:
    """Return how many examples a request of this ``layout`` has."""
    return max((tensor.shape[0] for tensor in read_layout(layout) if tensor.shape), default=1)
