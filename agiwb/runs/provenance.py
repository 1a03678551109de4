"""Where a result came from: code, packages, machine, and the time it was made."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path

from pydantic import BaseModel, ConfigDict

PACKAGE_FOLDER = Path(__file__).resolve().parents[1]

# These only ask for results and show them; a change there cannot change one.
_FACES = ("batch", "commands", "history", "jobs", "reporting", "cli.py", "flags.py")

# Packages whose version can change a result; the cache key and the record name them.
DECISIVE_PACKAGES = (
    "ai-edge-litert",
    "keras",
    "numpy",
    "onnx",
    "onnxruntime",
    "optuna",
    "pandas",
    "pillow",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "shap",
    "tensorflow",
    "tensorflow-model-analysis",
    "tensorflow-model-optimization",
    "tf-keras",
    "tf2onnx",
)


class Provenance(BaseModel):
    """What a result depends on besides its config."""

    model_config = ConfigDict(frozen=True)

    inputs: dict[str, str]
    """Name of each input (data set, model, …) and its SHA-256 fingerprint."""
    parents: dict[str, str]
    """Name of each input that another run made, and that run's id."""
    packages: dict[str, str]
    code_sha256: str
    git_commit: str | None
    git_dirty: bool | None
    python: str
    machine: str


def describe_origin(inputs: dict[str, str], parents: dict[str, str]) -> Provenance:
    """Return the provenance of a run that starts now with these inputs."""
    commit, dirty = git_state()
    return Provenance(
        inputs=inputs,
        parents=parents,
        packages=package_versions(),
        code_sha256=code_digest(),
        git_commit=commit,
        git_dirty=dirty,
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
    )


@functools.cache
def package_versions() -> dict[str, str]:
    """Return the installed version of each decisive package."""
    versions = {}
    for name in DECISIVE_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


@functools.cache
def code_digest() -> str:
    """Return one SHA-256 over agiwb's source, so that a changed step is never taken for old."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE_FOLDER.rglob("*.py")):
        name = path.relative_to(PACKAGE_FOLDER)
        if name.parts[0] not in _FACES:
            digest.update(name.as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def git_state() -> tuple[str | None, bool | None]:
    """Return the commit of the current folder's repository and whether it has changes."""

    def git(*arguments: str) -> str | None:
        try:
            answer = subprocess.run(
                ["git", *arguments], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return answer.stdout.strip()

    commit = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain") if commit else None
    return commit, None if changes is None else bool(changes)
