"""What ModelAudit and ModelScan find among the malicious files that the import's tests refuse.

    python benchmarks/import_scanners.py [--folder FOLDER]

Each file of ``tests/importing/test_import_malice.py`` is kept as its test makes it, and given to
both, which are installed below FOLDER, each with what its scanners need. Our own inspection refuses
all of them: those are its tests. Files that harm nobody are given to them too.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from agiwb.artifacts.manifest import Format
from tests.importing import import_files

PACKAGES = {
    # With TensorFlow beside it, it cannot read SavedModels any more.
    "modelaudit": ("modelaudit==0.2.54", "h5py", "onnx", "tflite"),
    "modelscan": ("modelscan==0.8.8", "h5py", "tensorflow==2.20.0"),
}
MALICE = Path(__file__).parents[1] / "tests" / "importing" / "test_import_malice.py"
_CASE = re.compile(r"case_\d+|harmless_\d+")
Refuse = Callable[[Path, str, Format | None], None]


class Keeping:
    """A pytest plugin: what a test has refused is copied into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Take an empty folder."""
        self.folder, self.count = folder, 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Put a copying one in the place of the module's ``refuse``."""
        (module,) = {getattr(item, "module") for item in session.items}  # noqa: B009  not typed
        module.refuse = self._copying(module.refuse)

    def _copying(self, refuse: Refuse) -> Refuse:
        def copied(path: Path, why: str, kind: Format | None = None) -> None:
            target = self.folder / f"case_{self.count}"
            self.count += 1
            if path.suffix == ".onnx":  # what it names lies beside it
                shutil.copytree(path.parent, target, symlinks=True)
            elif path.is_dir():
                shutil.copytree(path, target / path.name, symlinks=True)
            else:
                target.mkdir()
                shutil.copy(path, target)
            refuse(path, why, kind)

        return copied


def write_harmless(folder: Path) -> int:
    """Return how many files were written that a scanner should have nothing against."""
    keras = import_files.sequential(import_files.DENSE)
    body = import_files.graph(
        import_files.node("x", "Placeholder"), import_files.node("y", "Softmax", "x")
    )
    places = [folder / f"harmless_{number}" for number in range(6)]
    for place in places:
        place.mkdir()
    import_files.write_keras(places[0] / "m.keras", keras)
    (places[1] / "m.onnx").write_bytes(import_files.onnx_model().SerializeToString())
    (places[2] / "m.tflite").write_bytes(import_files.tiny_tflite())
    (places[3] / "m.h5").write_bytes(import_files.tiny_h5())
    import_files.write_saved_model(places[4] / "m", body, output="y")
    (places[5] / "m.pb").write_bytes(body)
    return len(places)


def installed(folder: Path, name: str) -> Path:
    """Return the program of a scanner in an environment of its own, made if it is not there."""
    program = folder / name / "bin" / name
    if not program.exists():
        uv = [str(Path(sys.executable).with_name("uv"))]
        subprocess.run([*uv, "venv", "-q", "--python", "3.11", str(folder / name)], check=True)
        into = ["--python", str(program.with_name("python"))]
        subprocess.run([*uv, "pip", "install", "-q", *into, *PACKAGES[name]], check=True)
    return program


def found_by_modelaudit(program: Path, files: Path) -> dict[str, set[str]]:
    """Return the cases in which it finds something, by how severe it is."""
    words = [str(program), "scan", "--format", "json", str(files)]
    issues = json.loads(_said(words, files.parent))["issues"]
    severities = {"critical": ["critical"], "anything": ["critical", "warning"]}
    return {
        name: _cases(issue["location"] for issue in issues if issue["severity"] in wanted)
        for name, wanted in severities.items()
    }


def found_by_modelscan(program: Path, files: Path) -> dict[str, set[str]]:
    """Return the cases in which it finds something."""
    report = files.parent / "modelscan.json"
    _said([str(program), "-p", str(files), "-r", "json", "-o", str(report)], files.parent)
    issues = json.loads(report.read_text("utf-8"))["issues"]
    return {"anything": _cases(issue["source"] for issue in issues)}


def _said(words: list[str], home: Path) -> str:
    quiet = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1", "HOME": str(home)}
    environment = {"PATH": "/usr/bin:/bin", **quiet}
    return subprocess.run(
        words, capture_output=True, check=False, text=True, env=environment
    ).stdout


def _cases(locations: Iterable[str | None]) -> set[str]:
    matches = (_CASE.search(location or "") for location in locations)
    return {match[0] for match in matches if match}


def main() -> None:
    """Scan, print for people, and end with one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "agiwb-scanners"
    )
    folder: Path = parser.parse_args().folder
    with tempfile.TemporaryDirectory(prefix="agiwb-benchmark-") as place:
        files = Path(place) / "files"
        files.mkdir()
        keeping = Keeping(files)
        refused = pytest.main(["-q", "-p", "no:cacheprovider", str(MALICE)], plugins=[keeping]) == 0
        harmless = write_harmless(files)
        found: dict[str, dict[str, set[str]]] = {
            "modelaudit": found_by_modelaudit(installed(folder, "modelaudit"), files),
            "modelscan": found_by_modelscan(installed(folder, "modelscan"), files),
        }
    counts: dict[str, int] = {}
    for name, by_severity in found.items():
        for severity, cases in by_severity.items():
            malicious = {case for case in cases if case.startswith("case")}
            counts[f"{name} {severity}"] = len(malicious)
            print(
                f"{name:<11} {severity:<9} {len(malicious):>4} of {keeping.count} files, and "
                f"{len(cases) - len(malicious)} of {harmless} that are harmless"
            )
    best = max(counts.values())
    ours = keeping.count if refused else 0
    claims: list[dict[str, Any]] = [
        {"name": "files refused", "value": ours, "bar": best, "holds": ours >= best},
        {
            "name": "ModelAudit, which is asked besides, finds more than ModelScan",
            "value": counts["modelaudit critical"],
            "bar": counts["modelscan anything"],
            "holds": counts["modelaudit critical"] > counts["modelscan anything"],
        },
    ]
    print(json.dumps({"claims": claims}))


if __name__ == "__main__":
    main()
