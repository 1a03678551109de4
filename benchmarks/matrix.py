"""How soon a matrix of small notebooks is done: two workers, against papermill in a plain loop.

Eight notebooks, each of which imports pandas and scikit-learn and fits a logistic regression to the
digits five times, with one thread. The loop is one Python process that imports papermill and calls
it eight times; the matrix is the command, from its start to its end, with a run in the history, an
HTML page and a line of the index for each notebook. Both in turn, so that a machine that slows down
slows both. Also what the same command takes when nothing has changed. The history's tables are made
beforehand.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from jobs import claim

ROUNDS = 3
NOTEBOOKS = 8
WORKERS = 2
LARGEST_SHARE = 0.9
LARGEST_KNOWN_SHARE = 0.5

LOOP = """
import sys
from papermill import execute_notebook
for number in range(int(sys.argv[2])):
    execute_notebook(sys.argv[1], f"{sys.argv[3]}/{number}.ipynb", parameters={"number": number},
                     progress_bar=False)
"""
WORK = """import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

data = load_digits()
model = LogisticRegression(C=10.0 ** (number - 4), max_iter=200)
scores = cross_val_score(model, data.data / 16, data.target, cv=5)
pd.Series(scores).describe()"""


def write_notebook(path: Path) -> None:
    """Write the notebook of which each run has another number."""
    cells = [nbformat.v4.new_code_cell(source) for source in ("number = 0", WORK)]
    cells[0].metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": ""}
    nbformat.write(notebook, path)


def seconds_of(words: list[str], folder: Path) -> float:
    """Return the wall-clock seconds of a command, which must succeed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "AGIWB_WORKSPACE": str(folder / "ws")}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return time.perf_counter() - began


def main() -> None:
    """Print each round, the medians, and the claims as JSON in the last line."""
    times: dict[str, list[float]] = {"papermill": [], "matrix": [], "known": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_notebook(folder / "n.ipynb")
        (folder / "executed").mkdir()
        loop = ["-c", LOOP, "n.ipynb", str(NOTEBOOKS), "executed"]
        numbers = ", ".join(map(str, range(NOTEBOOKS)))
        again = ["-m", "agiwb", "matrix", "--matrix", "notebook=n.ipynb", f"number=[{numbers}]"]
        again += ["--workers", str(WORKERS)]
        seconds_of(["-m", "agiwb", "runs", "list"], folder)
        for _ in range(ROUNDS):
            times["papermill"].append(seconds_of(loop, folder))
            times["matrix"].append(seconds_of([*again, "--fresh"], folder))
            times["known"].append(seconds_of(again, folder))
            print("  ".join(f"{name} {found[-1]:6.1f} s" for name, found in times.items()))
    loop_s, matrix_s, known_s = (statistics.median(found) for found in times.values())
    print(f"median: loop {loop_s:.1f} s, matrix {matrix_s:.1f} s, nothing changed {known_s:.1f} s")
    claims = [
        claim("8 notebooks on 2 workers, to papermill in a loop", matrix_s / loop_s, LARGEST_SHARE),
        claim("the same when nothing has changed", known_s / loop_s, LARGEST_KNOWN_SHARE),
    ]
    print(json.dumps({"claims": claims, "machine": f"{platform.machine()} {platform.system()}"}))


if __name__ == "__main__":
    main()
