"""What is installed here, what is missing, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from agiwb.compression.advisor import describe_processor, read_processor
from agiwb.errors import AgiwbError
from agiwb.runs.object_store import open_object_store
from agiwb.runs.outbox import Outbox
from agiwb.runs.shared_runs import SharedRuns
from agiwb.runs.store import require_writable
from agiwb.runs.tracking_address import look_for, tracking_address
from agiwb.settings import Settings

_ENOUGH_DISK_BYTES = 5 * 2**30
_SERVING_PORT = 8501
_SETUP = "Install the pins: `make setup`."


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``fix`` is empty if it is well."""

    subject: str
    state: str
    fix: str = ""


def examine() -> int:
    """Print every finding; return 1 if something must be mended, else 0."""
    found = list(findings())
    for finding in found:
        print(f"{'!' if finding.fix else ' '} {finding.subject:<28} {finding.state}")
        if finding.fix:
            print(f"  {'':<28} {finding.fix}")
    return 1 if any(finding.fix for finding in found) else 0


def findings() -> Iterator[Finding]:
    """Yield what matters to agiwb about this machine, nothing of it imported."""
    yield Finding("Python", platform.python_version())
    yield from _packages()
    yield _workspace()
    yield from _tracking()
    yield from _object_store()
    yield _disk()
    yield Finding("cores", str(os.cpu_count()))
    yield _processor()
    yield _port()
    yield _program("chromium", "only the browser tests need it: apt-get install chromium")


def _packages() -> Iterator[Finding]:
    """Yield each package that agiwb itself requires, against the versions it allows."""
    for line in importlib.metadata.requires("agiwb") or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(requirement.name, "not installed", _SETUP)
            continue
        fits = requirement.specifier.contains(version, prereleases=True)
        yield Finding(
            requirement.name,
            version,
            "" if fits else f"agiwb needs {requirement.specifier}. {_SETUP}",
        )


def _workspace() -> Finding:
    path = Settings().workspace_path
    try:
        require_writable(path)
    except AgiwbError as error:
        return Finding("workspace", str(path), str(error))
    return Finding("workspace", str(path))


def _tracking() -> Iterator[Finding]:
    """Yield where the run history is and whether it answers; and what waits for it."""
    settings = Settings()
    try:
        address = tracking_address(settings.tracking_uri, settings.workspace_path)
    except AgiwbError as error:
        yield Finding("run history", "AGIWB_TRACKING_URI", str(error))
        return
    try:
        answers = "; it answers" if look_for(address, anew=True) else ""
        yield Finding("run history", f"{address.shown}{answers}")
    except AgiwbError as error:
        yield Finding("run history", address.shown, str(error))
    if waiting := Outbox.of(settings.workspace_path).count():
        state = f"{waiting} {'writes wait' if waiting > 1 else 'write waits'} for it"
        yield Finding("run history", state, "The next command delivers them once it answers.")


def _object_store() -> Iterator[Finding]:
    """Yield what a team shares its files in, if anything, and whether it answers."""
    try:
        if (store := open_object_store()) is None:
            return
        store.require_answer()
        yield Finding("object store", f"{store.url}; it answers")
    except AgiwbError as error:
        yield Finding("object store", "AGIWB_ARTIFACTS", str(error))
        return
    if waiting := SharedRuns(Settings().workspace_path, store).waiting():
        state = f"{len(waiting)} {'runs wait' if len(waiting) > 1 else 'run waits'} to be uploaded"
        yield Finding("object store", state, "The next command uploads them.")


def _disk() -> Finding:
    folder = next(path for path in (Settings().workspace_path, Path.cwd()) if path.exists())
    free = shutil.disk_usage(folder).free
    fix = "" if free > _ENOUGH_DISK_BYTES else "Free some space: models and logs need room."
    return Finding("free disk", f"{free / 2**30:.0f} GiB", fix)


def _processor() -> Finding:
    return Finding("processor", describe_processor(read_processor()))


def _port() -> Finding:
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", _SERVING_PORT)) == 0
    state = f"{_SERVING_PORT} is {'taken' if taken else 'free'}"
    return Finding("serving port", f"{state}; `--rest-api-port 0` takes any free one")


def _program(name: str, use: str) -> Finding:
    path = shutil.which(name)
    return Finding(name, path or f"not installed; {use}")
