"""Evidently on arrays that were saved for it; prints its scores and its seconds as JSON.

Run as ``python evidently_drift.py FOLDER METHOD ROWS``: METHOD is one of Evidently's, or
``default``; ROWS is the size of the windows that ``window.npy`` is cut into, 0 for one window.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset


def main() -> None:
    """Compare each window with the reference."""
    folder, method, rows = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    reference, window = (np.load(folder / f"{name}.npy") for name in ("reference", "window"))
    names = [f"f{place}" for place in range(reference.shape[1])]
    known = pd.DataFrame(reference, columns=names)
    cuts = [window] if rows == 0 else np.split(window, range(rows, len(window), rows))
    frames = [pd.DataFrame(cut, columns=names) for cut in cuts]
    preset = DataDriftPreset() if method == "default" else DataDriftPreset(num_method=method)
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


if __name__ == "__main__":
    main()
