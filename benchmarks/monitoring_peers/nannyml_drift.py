"""NannyML on arrays that were saved for it; prints which chunks alarm as JSON.

Run as ``python nannyml_drift.py FOLDER ROWS``: ROWS is the size of the chunks of ``window.npy``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nannyml
import numpy as np
import pandas as pd

METHOD = "kolmogorov_smirnov"


def main() -> None:
    """Compare each chunk with the reference."""
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    reference, window = (np.load(folder / f"{name}.npy") for name in ("reference", "window"))
    names = [f"f{place}" for place in range(reference.shape[1])]
    known, served = (pd.DataFrame(rows, columns=names) for rows in (reference, window))
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=names, continuous_methods=[METHOD], chunk_size=rows
    )
    calculator.fit(known)
    found = calculator.calculate(served).filter(period="analysis").to_df()
    alarms = np.any([found[name, METHOD, "alert"].to_numpy(bool) for name in names], axis=0)
    print(json.dumps({"alarms": alarms.tolist()}))


if __name__ == "__main__":
    main()
