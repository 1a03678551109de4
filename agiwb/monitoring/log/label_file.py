"""A file of labels, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agiwb.errors import InputError, did_you_mean
from agiwb.monitoring.log.database import connect

_CLOCKS_APART_S = 60.0
_READERS = {
    ".csv": "read_csv(?, all_varchar = true, header = true)",
    ".tsv": "read_csv(?, all_varchar = true, header = true, delim = '\t')",
    ".parquet": "read_parquet(?)",
    ".json": "read_json_auto(?)",
    ".jsonl": "read_json_auto(?, format = 'newline_delimited')",
    ".ndjson": "read_json_auto(?, format = 'newline_delimited')",
}
_NEEDED, _KNOWN = ("request_id", "label"), ("request_id", "label", "row", "time", "source")


def label_schema() -> Any:
    """Return the ``pyarrow.Schema`` of a table of labels."""
    import pyarrow as pa

    return pa.schema(
        {
            "request_id": pa.string(),
            "row": pa.int64(),
            "label": pa.string(),
            "label_time": pa.float64(),
            "received": pa.float64(),
            "source": pa.string(),
            "place": pa.int64(),
        }
    )


def read_label_file(file: Path, received: float, source: str = "") -> Any:
    """Return the labels in a file as a ``pyarrow.Table`` of ``label_schema``, in its order.

    The file is CSV, TSV, Parquet or JSON (a list, or an object a line) with the columns
    ``request_id`` and ``label`` and, if wanted, ``row`` (which example of the request, from 0),
    ``time`` (when the label became known: Unix seconds, or ISO 8601, in UTC unless it names a zone)
    and ``source``.

    Args:
        file: Its ending says what it is.
        received: Unix time in seconds; the time of labels that have none.
        source: Of labels that have none.

    Raises:
        InputError: The file cannot be read, lacks a column, or has a row that is wrong.
    """
    import duckdb

    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise InputError(
            f"The file {file} is of no known kind.", f"Give one of {', '.join(_READERS)}."
        )
    if not file.is_file():
        raise InputError(f"There is no file {file}.", "Give the path of a file of labels.")
    if not file.stat().st_size:
        raise InputError(f"The file {file} is empty.", "Give one with labels in it.")
    with connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            # The reader is one of ours.
            given = connection.sql(f"SELECT * FROM {reader}", params=[str(file)])  # noqa: S608
            names = list(given.columns)
            _check_columns(file, names)
            rows = given.to_arrow_table()
            connection.register("given", rows)
            table = connection.sql(
                _query(set(names)), params=[received, source, received]
            ).to_arrow_table()
        except duckdb.Error as error:
            raise InputError(
                f"The labels in {file} cannot be read: {str(error).splitlines()[0]}.",
                "Correct the file, and add it again; none of it was kept.",
            ) from None
    _check_rows(file, table, received)
    return table.select(label_schema().names).cast(label_schema())


def _query(names: set[str]) -> str:
    """Return the query that puts what is given into our columns."""
    row = 'coalesce(TRY_CAST("row" AS BIGINT), CASE WHEN "row" IS NULL THEN 0 END)'
    moment = (
        'coalesce(TRY_CAST("time" AS DOUBLE), epoch(TRY_CAST("time" AS TIMESTAMPTZ)), '
        'CASE WHEN "time" IS NULL THEN ? END)'
    )
    return f"""
        SELECT trim(CAST(request_id AS VARCHAR)) AS request_id,
               {row if "row" in names else "0::BIGINT"} AS "row",
               trim(CAST(label AS VARCHAR)) AS label,
               {moment if "time" in names else "?::DOUBLE"} AS label_time,
               {"coalesce(CAST(source AS VARCHAR), ?)" if "source" in names else "?"} AS source,
               ?::DOUBLE AS received,
               row_number() OVER () AS place
        FROM given
    """  # noqa: S608  what varies is ours


def _check_columns(file: Path, names: list[str]) -> None:
    for name in names:
        if name not in _KNOWN:
            hint = did_you_mean(name, _KNOWN)
            raise InputError(f"The file {file} has a column {name!r}, which means nothing.", hint)
    for name in _NEEDED:
        if name not in names:
            raise InputError(
                f"The file {file} has no column {name!r}.",
                "It needs `request_id` and `label`; `row`, `time` and `source` may be added.",
            )


def _check_rows(file: Path, table: Any, received: float) -> None:
    """Raise for the first row that is wrong."""
    import numpy as np

    wrong = {
        "has no request id": _is_empty(table["request_id"]),
        "has no label": _is_empty(table["label"]),
        "has a `row` that is no number from 0": ~(_floats(table["row"]) >= 0),
        "has a `time` that is neither Unix seconds nor ISO 8601": ~np.isfinite(
            _floats(table["label_time"])
        ),
        "has a `time` that has not come yet": _floats(table["label_time"])
        > received + _CLOCKS_APART_S,
    }
    for what, rows in wrong.items():
        if rows.any():
            place, others = int(np.argmax(rows)) + 1, int(rows.sum()) - 1
            more = f", and so do {others} others" if others else ""
            raise InputError(
                f"Row {place} of {file} {what}{more}.",
                "Correct the file, and add it again; none of it was kept.",
            )


def _is_empty(column: Any) -> Any:
    import numpy as np

    return np.array([not text for text in column.to_pylist()], bool)


def _floats(column: Any) -> Any:
    import numpy as np

    return np.array(column.cast("float64").to_numpy(), np.float64)
