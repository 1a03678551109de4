"""How the import stands thousands of mutated files: outcomes, slowest file, and memory.

    python benchmarks/import_fuzz.py [--count 1000] [--kinds onnx litert ...] [--load]

Each file is inspected in this process, as an import does. With ``--load`` those that pass are given
to their library in a fresh process too, which shows what the inspection leaves to it. A crash, or
an exception other than a refusal, ends the program with an error; so does a file that is refused
before it was mutated. Of a ``.keras`` file what is in the archive is mutated half of the times:
else the archive's checksums would catch nearly all.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from agiwb.artifacts.manifest import MODEL_FILES, Format
from agiwb.errors import InputError
from agiwb.importing.inspect import guarded, inspect_file
from agiwb.runtimes.fresh_process import call_in_fresh_process
from tests.importing.test_import_fuzz import mutated, whole

KINDS: tuple[Format, ...] = ("keras", "h5", "saved_model", "frozen_pb", "onnx", "litert")
WITHOUT_TENSORFLOW = {"onnx", "litert"}
WRITTEN_BY_TENSORFLOW = {
    "keras": "model.keras",
    "saved_model": "saved_model/saved_model.pb",
    "frozen_pb": "model.pb",
}


def fuzz(kind: Format, count: int, seed: int, *, load: bool) -> str:
    """Return one line: what came of ``count`` mutated files of a kind."""
    dice = random.Random(seed)  # noqa: S311  mutations, no secrets
    outcomes, slowest = Counter[str](), 0.0
    with tempfile.TemporaryDirectory() as place:
        path = _sound_file(kind, Path(place), load=load)
        folder, content = path.parent, path.read_bytes()
        if _outcome(kind, folder, path, load=load) != "taken":
            raise SystemExit(f"The {kind} file is refused before it was mutated.")
        for _ in range(count):
            inner = kind == "keras" and dice.random() < 0.5
            path.write_bytes((_mutated_inside if inner else mutated)(content, dice))
            started = time.perf_counter()
            outcomes[_outcome(kind, folder, path, load=load)] += 1
            slowest = max(slowest, time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = ", ".join(f"{name} {number}" for name, number in sorted(outcomes.items()))
    return f"{kind:<12} {told}; slowest {slowest:.2f} s; peak {peak:.0f} MiB"


def _sound_file(kind: Format, place: Path, *, load: bool) -> Path:
    """Return a file of a kind that is taken, alone in its folder but for what it needs."""
    folder = place / "mutated"
    name = MODEL_FILES[kind]
    if load and kind in WRITTEN_BY_TENSORFLOW:
        call_in_fresh_process(
            "tests.importing.loadable_files:write_loadable", {"folder": place}, tensorflow=True
        )
        if kind == "saved_model":
            shutil.copytree(place / "saved_model", folder)
            return folder / name
        content = (place / WRITTEN_BY_TENSORFLOW[kind]).read_bytes()
    else:
        content = whole(kind, place)
    folder.mkdir()
    path = folder / name
    path.write_bytes(content)
    return path


def _mutated_inside(content: bytes, dice: random.Random) -> bytes:
    """Return an archive with one of its files mutated, and a checksum that is right again."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(made, "w") as target:
        chosen = dice.choice(given.namelist())
        for name in given.namelist():
            inside = given.read(name)
            target.writestr(name, mutated(inside, dice) if name == chosen else inside)
    return made.getvalue()


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
    os.environ["PYTHONPATH"] = sys.path[0]  # for the fresh process that writes the files
    for kind in options.kinds:
        print(fuzz(kind, options.count, options.seed, load=options.load), flush=True)
