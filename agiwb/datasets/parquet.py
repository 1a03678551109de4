"""Tables in Parquet files, read into memory."""

from __future__ import annotations

import numpy as np

from agiwb.datasets.description import SourceDescription
from agiwb.datasets.source import Progress, Source
from agiwb.datasets.table import TableFile, source_of_table
from agiwb.errors import DatasetError


def load_parquet(description: SourceDescription, progress: Progress) -> Source:
    """Return the data set in a Parquet file; rows are counted from 1.

    Raises:
        DatasetError: The file is corrupt, or the table does not fit.
    """
    import pyarrow as pa
    from pyarrow import parquet

    path = description.path
    try:
        # ParquetFile reads this file alone; read_table would take `a=b` in the path for a column.
        with path.open("rb") as stream, parquet.ParquetFile(stream) as file:
            frame = file.read().to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DatasetError(
            f"The file {path} is not readable Parquet: {' '.join(str(error).split())}.",
            "Write it anew.",
        ) from None
    if len(frame) == 0:
        raise DatasetError(f"The file {path} has no rows.", "Give one row for each example.")
    return source_of_table(description, TableFile(path, frame, np.arange(1, len(frame) + 1)))
