"""The window: the served predictions that one run of the monitor step looks at."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.input_names import columns_of_inputs
from agiwb.datasets.dataset import Dataset
from agiwb.errors import ConfigError, NotFoundError, WorkError
from agiwb.monitoring.log.folder import is_labelled, prediction_folder
from agiwb.monitoring.log.joining import LabelledPredictions, join_labels
from agiwb.monitoring.log.predictions import read_predictions, window_and_places
from agiwb.serving.prediction_log import PredictionWindow


@dataclass(frozen=True)
class Chosen:
    """Which of the rows logged as ``name`` are looked at.

    Attributes:
        name: The name they were served under.
        since: The first Unix time in seconds.
        until: The last.
        version: Those that this version answered; by default all.
        last_rows: So many of the newest of them; by default all.
    """

    name: str
    since: float = -math.inf
    until: float = math.inf
    version: int | None = None
    last_rows: int | None = None

    @property
    def folder(self) -> Path:
        """Where they are logged."""
        return prediction_folder(self.name)


@dataclass(frozen=True)
class Traffic:
    """Rows in order of time, and what is known of their requests.

    Attributes:
        rows: What was asked and answered.
        requests: The place of each row's request, ascending, shape ``(rows,)``.
        latency_ms: Of each row's request, milliseconds, shape ``(rows,)``.
        places: Where each row's request was logged: segment and offset, shape ``(rows, 2)``.
    """

    rows: PredictionWindow
    requests: NDArray[np.int64]
    latency_ms: NDArray[np.float64]
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: Any) -> Traffic:
        """Return the rows that an index picks out."""
        rows = PredictionWindow(*(array[chosen] for array in vars(self.rows).values()))
        return Traffic(rows, self.requests[chosen], self.latency_ms[chosen], self.places[chosen])

    def of_newest_version(self) -> Traffic:
        """Return the rows that the version answered which also answered the newest row."""
        return self.take(self.rows.versions == self.rows.versions[-1])

    def first_of_requests(self) -> NDArray[np.int64]:
        """Return the place of the first row of each request."""
        return np.unique(self.requests, return_index=True)[1]


def read_window(chosen: Chosen, data: Dataset) -> Traffic:
    """Return the rows that are chosen.

    Raises:
        NotFoundError: Nothing was served under this name, or nothing at that time.
        ConfigError: What was served does not fit the data set.
    """
    traffic = _read(chosen)
    if len(traffic) == 0:
        if len(_read(Chosen(chosen.name, last_rows=1))):
            raise NotFoundError(
                f"No predictions of {chosen.name!r} were logged {_when(chosen)}.",
                "Choose an earlier `since`, a later `until` or another `version`.",
            )
        raise NotFoundError(
            f"No predictions of {chosen.name!r} have been logged: {chosen.folder} holds none.",
            "Serve the model with `agiwb serve` and send it requests first.",
        )
    return replace(traffic, rows=as_in(data, chosen.name, traffic.rows))


def as_in(data: Dataset, name: str, window: PredictionWindow) -> PredictionWindow:
    """Return what was served as ``name``, its examples as a data set's, columns in its order.

    Raises:
        ConfigError: They are something else.
    """
    features, columns = window.features, data.columns
    if len(columns) == 1 and not features.dtype.names and features.ndim == 1:
        features = features.astype([(columns[0], features.dtype)])
    if names := features.dtype.names:
        found = columns_of_inputs(names, columns)
        features = features.astype(
            [(found.get(name, name), features.dtype[name]) for name in names]
        )
    expected, known = data.train.sample(1).features, features.dtype
    fits = features.shape[1:] == data.feature_shape and (known.kind == "O") == (
        expected.dtype.kind in "OU"
    )
    if columns:
        fits = set(known.names or ()) == set(columns) and all(
            (known[name].kind == "O") == (expected.dtype[name].kind == "O") for name in columns
        )
    answers = window.probabilities.shape[1:]
    if not fits or answers != (len(data.classes),):
        raise ConfigError(
            f"`dataset`: what was served as {name!r} does not fit {data.name}: its examples "
            f"{_form(features)} and its answers have shape {answers}; those of the data set "
            f"{_form(expected)}, with {len(data.classes)} classes.",
            "Give the data set that the served model was trained on.",
        )
    if columns:
        features = features[list(columns)].astype(expected.dtype)
    return replace(window, features=features)


def _form(features: NDArray[Any]) -> str:
    if names := features.dtype.names:
        return f"have the columns {', '.join(names)}"
    if features.dtype.kind in "OU":
        return "are texts"
    return f"have shape {features.shape[1:]}"


def reread_window(chosen: Chosen, data: Dataset, end: float, fingerprint: str) -> Traffic:
    """Return the window that ended at ``end``, whatever a server has appended since.

    Raises:
        ConfigError: It does not fit the data set.
        WorkError: The rows up to then are no longer those of the fingerprint.
    """
    traffic = _read(replace(chosen, until=end))
    traffic = replace(traffic, rows=as_in(data, chosen.name, traffic.rows))
    if fingerprint_of(traffic) != fingerprint:
        raise WorkError(
            f"The predictions of {chosen.name!r} changed while they were read.",
            "Run the comparison again.",
        )
    return traffic


def fingerprint_of(traffic: Traffic) -> str:
    """Return the SHA-256 of a window's content."""
    digest = hashlib.sha256()
    for array in (*vars(traffic.rows).values(), traffic.latency_ms):
        digest.update(f"{array.dtype} {array.shape}".encode())
        for part in [array[name] for name in array.dtype.names or ()] or [array]:
            is_text = part.dtype.kind == "O"
            digest.update(repr(part.tolist()).encode() if is_text else part.tobytes())
    return digest.hexdigest()


def labels_of(chosen: Chosen, traffic: Traffic) -> LabelledPredictions | None:
    """Return the rows of the time and the version of some traffic that have a label, or None."""
    if not is_labelled(chosen.folder):
        return None
    times, version = traffic.rows.times, int(traffic.rows.versions[-1])
    found = join_labels(chosen.folder, float(times[0]), float(times[-1]), version=version)
    shape = traffic.rows.probabilities.shape[1:]
    return found if len(found) and found.window.probabilities.shape[1:] == shape else None


def fingerprint_of_labels(labelled: LabelledPredictions | None) -> str:
    """Return the SHA-256 of the labels that hold and of whose they are."""
    if labelled is None:
        return "none"
    digest = hashlib.sha256()
    for columns in zip(labelled.request_ids, labelled.labels, labelled.label_times, strict=True):
        digest.update(repr(columns).encode())
    return digest.hexdigest()


def _read(chosen: Chosen) -> Traffic:
    # A request has a row at least, unless its shapes are others; then all are read.
    for last_requests in dict.fromkeys((chosen.last_rows, None)):
        table = read_predictions(
            chosen.folder,
            chosen.since,
            chosen.until,
            version=chosen.version,
            last_requests=last_requests,
        ).table
        rows, requests, _ = window_and_places(table)
        if last_requests is None or len(rows) >= last_requests or len(table) < last_requests:
            break
    segments = np.array([int(text, 16) for text in table["segment"].to_pylist()], np.int64)
    places = np.column_stack([segments, table["offset"].to_numpy()])
    traffic = Traffic(rows, requests, table["latency_ms"].to_numpy()[requests], places[requests])
    return traffic.take(slice(-chosen.last_rows if chosen.last_rows else None, None))


def _when(chosen: Chosen) -> str:
    told = [
        f"{word} {datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
        for word, moment in (("since", chosen.since), ("until", chosen.until))
        if math.isfinite(moment)
    ]
    told += [] if chosen.version is None else [f"by version {chosen.version}"]
    return " ".join(told)
