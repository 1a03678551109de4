"""Tables in files with one JSON object a line."""

from __future__ import annotations

import json

import numpy as np

from agiwb.datasets.description import SourceDescription
from agiwb.datasets.source import Progress, Source
from agiwb.datasets.table import TableFile, source_of_table
from agiwb.errors import DatasetError


def load_json_lines(description: SourceDescription, progress: Progress) -> Source:
    """Return the data set in a file of JSON objects, one a line; a field left away is missing.

    Raises:
        DatasetError: A line is not UTF-8 or no JSON object, or the table does not fit; the row is
            named by its line.
    """
    import pandas as pd

    path = description.path
    rows, lines = [], []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:  # bad JSON and bad UTF-8 alike
            raise DatasetError(
                f"In {path}, row {number} is not JSON: {error}.", "Write one JSON object a line."
            ) from None
        if not isinstance(row, dict):
            raise DatasetError(
                f"In {path}, row {number} is no JSON object but {str(row)[:40]!r}.",
                "Write one JSON object a line.",
            )
        rows.append(row)
        lines.append(number)
    if not rows:
        raise DatasetError(f"The file {path} is empty.", "Write one JSON object a line.")
    frame = pd.DataFrame.from_records(rows)
    return source_of_table(description, TableFile(path, frame, np.array(lines)))
