"""How the import stands thousands of mutated files: outcomes, slowest file, and memory.

    python benchmarks/import_fuzz.py [--count 1000] [--kinds onnx litert ...] [--load]

Each file is inspected in this process, as an import does. With ``--load`` those that pass are given
to their library in a fresh process too, which shows what the inspection leaves to it. A crash, or
an exception other than a refusal, ends the program with an error.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from agiwb.artifacts.manifest import MODEL_FILES, Format
from agiwb.errors import InputError
from agiwb.importing.inspect import guarded, inspect_file
from tests.importing.test_import_fuzz import mutated, whole

KINDS: tuple[Format, ...] = ("keras", "h5", "saved_model", "frozen_pb", "onnx", "litert")
WITHOUT_TENSORFLOW = {"onnx", "litert"}


def fuzz(kind: Format, count: int, seed: int, *, load: bool) -> str:
    """Return one line: what came of ``count`` mutated files of a kind."""
    dice = random.Random(seed)  # noqa: S311  mutations, no secrets
    outcomes, slowest = Counter[str](), 0.0
    with tempfile.TemporaryDirectory() as place:
        content = whole(kind, Path(place))
        folder = Path(place) / "mutated"
        folder.mkdir()
        path = folder / MODEL_FILES[kind]
        for _ in range(count):
            path.write_bytes(mutated(content, dice))
            started = time.perf_counter()
            outcomes[_outcome(kind, folder, path, load=load)] += 1
            slowest = max(slowest, time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = ", ".join(f"{name} {number}" for name, number in sorted(outcomes.items()))
    return f"{kind:<12} {told}; slowest {slowest:.2f} s; peak {peak:.0f} MiB"


def _outcome(kind: Format, folder: Path, path: Path, *, load: bool) -> str:
    try:
        contents = inspect_file(folder if kind == "saved_model" else path, kind)
        if load:
            guarded(
                path,
                "loaded:describe",
                tensorflow=kind not in WITHOUT_TENSORFLOW,
                folder=folder,
                kind=kind,
                operators=sorted(contents.operators),
                custom_objects=None,
            )
    except InputError as error:
        return "crashed in its own process" if "crashed (" in error.problem else "refused"
    return "taken"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--load", action="store_true")
    options = parser.parse_args()
    for kind in options.kinds:
        print(fuzz(kind, options.count, options.seed, load=options.load), flush=True)
