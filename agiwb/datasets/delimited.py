"""Tables in text files of separated values."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.description import SourceDescription
from agiwb.datasets.source import Progress, Source
from agiwb.datasets.table import TableFile, source_of_table
from agiwb.errors import DatasetError


def load_csv(description: SourceDescription, progress: Progress) -> Source:
    """Return the data set in a file of comma-separated values; semicolons and tabs will do.

    Raises:
        DatasetError: A row is ragged or not UTF-8, or the table does not fit; the row is named by
            the line of the file on which it begins, the header being row 1.
    """
    return source_of_table(description, _read(description.path, separators=",;\t"))


def load_tsv(description: SourceDescription, progress: Progress) -> Source:
    """Return the data set in a file of tab-separated values; see ``load_csv``."""
    return source_of_table(description, _read(description.path, separators="\t"))


def _read(path: Path, separators: str) -> TableFile:
    import pandas as pd

    text = _text(path)
    header = text.partition("\n")[0]
    separator = max(separators, key=header.count)
    lines = _first_lines(path, text, separator)
    try:
        # Which texts mean a missing number is for the table to say: `NA` may be a country.
        frame = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            keep_default_na=False,
            na_values=[""],
            low_memory=False,
        )
    except (ValueError, OverflowError) as error:  # pandas' parser errors are ValueErrors
        raise DatasetError(
            f"The file {path} cannot be read as a table: {' '.join(str(error).split())}.",
            "Check its quotes.",
        ) from None
    if len(frame) != len(lines):
        raise DatasetError(
            f"The file {path} has {len(lines)} rows, of which {len(frame)} can be read.",
            "Check its quotes.",
        )
    return TableFile(path, frame, lines)


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise DatasetError(
            f"In {path}, row {row} is not UTF-8: byte 0x{data[error.start]:02x} at offset "
            f"{error.start}.",
            "Save the file as UTF-8.",
        ) from None


def _first_lines(path: Path, text: str, separator: str) -> NDArray[np.int64]:
    """Return the line on which each row after the header begins.

    Raises:
        DatasetError: The file is empty, a column's name is given twice, or a row is ragged.
    """
    former_limit = csv.field_size_limit(sys.maxsize)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        header: list[str] | None = None
        lines, before = [], 0
        for fields in reader:
            first, before = before + 1, reader.line_num
            if not fields:
                continue
            if header is None:
                header = fields
            elif len(fields) != len(header):
                raise DatasetError(
                    f"In {path}, row {first} has {len(fields)} fields and the header "
                    f"{len(header)}.",
                    "Mend the row: a text that holds the separator belongs in double quotes.",
                )
            else:
                lines.append(first)
    except csv.Error as error:
        raise DatasetError(
            f"In {path}, row {reader.line_num} cannot be read: {error}.", "Mend the row."
        ) from None
    finally:
        csv.field_size_limit(former_limit)
    if header is None or not lines:
        raise DatasetError(
            f"The file {path} is empty." if header is None else f"The file {path} has no rows.",
            "It should hold a header and a row for each example.",
        )
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise DatasetError(f"In {path}, two columns are called `{twice[0]}`.", "Rename one.")
    return np.array(lines)
