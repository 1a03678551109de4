"""Evidently on arrays that were saved for it; prints its scores and its seconds as JSON.

Run as ``python evidently_drift.py FOLDER METHOD ROWS``: METHOD is one of Evidently's, or
``default``; ROWS is the size of the windows that ``window.npy`` is cut into, 0 for one window.
Whole numbers are taken as categories.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def main() -> None:
    """Compare each window with the reference."""
    folder, method, rows = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    reference, window = (np.load(folder / f"{name}.npy") for name in ("reference", "window"))
    names = [f"f{place}" for place in range(reference.shape[1])]
    are_codes = reference.dtype.kind == "i"
    columns = {"categorical_columns" if are_codes else "numerical_columns": names}
    known = _table(reference, columns)
    cuts = [window] if rows == 0 else np.split(window, range(rows, len(window), rows))
    frames = [_table(cut, columns) for cut in cuts]
    asked = {} if method == "default" else {"cat_method" if are_codes else "num_method": method}
    preset = DataDriftPreset(**asked)
    scores, seconds = [], []
    for frame in frames:
        began = time.perf_counter()
        found = Report([preset]).run(frame, known).dict()["metrics"]
        seconds.append(time.perf_counter() - began)
        values = {one["config"]["column"]: one for one in found if "column" in one["config"]}
        scores.append(
            [
                [
                    float(values[n]["value"]),
                    values[n]["config"]["method"],
                    float(values[n]["config"]["threshold"]),
                ]
                for n in names
            ]
        )
    print(json.dumps({"scores": scores, "seconds": seconds}))


def _table(values: np.ndarray, columns: dict[str, list[str]]) -> Dataset:
    (names,) = columns.values()
    frame = pd.DataFrame(values, columns=names)
    return Dataset.from_pandas(frame, data_definition=DataDefinition(**columns))


if __name__ == "__main__":
    main()
