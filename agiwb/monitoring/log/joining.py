"""Predictions with the labels that came for them since."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import WorkError
from agiwb.monitoring.log.labels import NEWEST_LABELS, define_labels
from agiwb.monitoring.log.predictions import attempts, condition_of, window_and_places
from agiwb.serving.prediction_log.window import PredictionWindow

UNKNOWN_CLASS = -1


@dataclass(frozen=True)
class LabelledPredictions:
    """The examples of a stretch of time whose label is known, in order of time.

    Attributes:
        window: The examples, what was answered, when, and by which version.
        request_ids: Objects, shape ``(rows,)``.
        labels: The labels that hold, text, objects of shape ``(rows,)``.
        label_times: float64, shape ``(rows,)``: when each became known, Unix time in seconds.
        received: float64, shape ``(rows,)``: when each was added to the log.
        requests: Requests of that time, labelled or not: of so many, labels may still come.
        ambiguous: Requests among the labelled ones that share their id with another one; a label
            counts for all of them.
    """

    window: PredictionWindow
    request_ids: NDArray[Any]
    labels: NDArray[Any]
    label_times: NDArray[np.float64]
    received: NDArray[np.float64]
    requests: int
    ambiguous: int

    def __len__(self) -> int:
        return len(self.labels)

    def classes(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return each label as an index into ``names``, shape ``(rows,)``; -1 if it is in neither.

        A label is a class's name, or else its index.
        """
        index = {str(place): place for place in range(len(names))}
        index |= {name: place for place, name in enumerate(names)}
        texts = (text.removesuffix(".0") if text not in index else text for text in self.labels)
        return np.array([index.get(text, UNKNOWN_CLASS) for text in texts], np.int64)

    def numbers(self) -> NDArray[np.float64]:
        """Return each label as a number, shape ``(rows,)``; NaN if it is none."""
        return np.array([_number(text) for text in self.labels], np.float64)


def join_labels(
    folder: Path,
    start: float = -math.inf,
    end: float = math.inf,
    *,
    version: int | None = None,
    variant: str | None = None,
    known_by: float = math.inf,
) -> LabelledPredictions:
    """Return the predictions logged in ``folder``, a model's, that have a label, with it.

    Args:
        folder: The model's.
        start: The first Unix time in seconds, of the requests.
        end: The last.
        version: Those that this version answered; by default all.
        variant: ``champion``, ``challenger`` or ``load_test``; by default all but the last.
        known_by: The last Unix time in seconds of the labels' own arrival.

    Raises:
        WorkspaceError: There are more segments than a process may open.
        WorkError: Parts were deleted again and again while they were read.
    """
    condition, values = condition_of(start, end, version, variant)
    # What varies is ours; what the user gave are parameters.
    chosen = (
        f"SELECT * FROM predictions SEMI JOIN newest USING (request_id) WHERE {condition} "  # noqa: S608
        'ORDER BY time, segment, "offset"'
    )
    count = f"SELECT count(*) FROM predictions WHERE {condition}"  # noqa: S608
    for attempt in attempts(folder, start, end):
        with attempt as connection:
            define_labels(connection, folder, known_by)
            connection.execute(f"CREATE TEMP TABLE newest AS {NEWEST_LABELS}")
            requests = connection.sql(count, params=values).fetchall()[0][0]
            table = connection.sql(chosen, params=values).to_arrow_table()
            held = _labels_of(connection, table)
            return _joined(table, held, requests)
    raise WorkError(
        f"Parts of the log in {folder} were deleted each time they were read.", "Try it again."
    )


def _labels_of(connection: Any, table: Any) -> Any:
    """Return the labels of requests with the place of each request in the table."""
    import pyarrow as pa

    places = pa.table(
        {"request_id": table["request_id"], "place": np.arange(len(table), dtype=np.int64)}
    )
    connection.register("places", places)
    return connection.sql(
        'SELECT place, "row", label, label_time, received '
        "FROM places JOIN newest USING (request_id)"
    ).to_arrow_table()


def _joined(table: Any, held: Any, requests: int) -> LabelledPredictions:
    window, place_of, row_of = window_and_places(table)
    key_type = np.dtype([("place", np.int64), ("row", np.int64)])
    known, wanted = np.zeros(len(held), key_type), np.zeros(len(window), key_type)
    known["place"], known["row"] = held["place"].to_numpy(), held["row"].to_numpy()
    wanted["place"], wanted["row"] = place_of, row_of
    _, rows, its = np.intersect1d(wanted, known, assume_unique=True, return_indices=True)
    ids = np.array(table["request_id"].to_pylist(), object)
    labels = np.array(held["label"].to_pylist(), object)
    _, uses = np.unique(ids.astype(str), return_counts=True)
    return LabelledPredictions(
        window=PredictionWindow(*(array[rows] for array in vars(window).values())),
        request_ids=ids[place_of[rows]],
        labels=labels[its],
        label_times=held["label_time"].to_numpy()[its],
        received=held["received"].to_numpy()[its],
        requests=requests,
        ambiguous=int(uses[uses > 1].sum()),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
