"""The model files of a bundle, laid out as TensorFlow Serving wants them."""

from __future__ import annotations

import gzip
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agiwb.artifacts.manifest import MANIFEST_FILE, PARITY_FILE, Format
from agiwb.artifacts.resolve import ArtifactSource
from agiwb.artifacts.signature import Signature
from agiwb.runs.files import list_files
from agiwb.trust.signing import SIGNATURE_FILE

TENSORFLOW = "tensorflow"
"""Folder of what only TensorFlow Serving serves."""


@dataclass(frozen=True)
class BundledVersion:
    """One artifact in the bundle, as version ``number`` in ``folder``, relative to ``root``."""

    number: int
    format: Format
    root: Path
    folder: str
    source: ArtifactSource

    @property
    def path(self) -> Path:
        """Where its files are."""
        return self.root / self.folder

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""
        return self.source.artifact.signature


def add_versions(
    sources: Sequence[ArtifactSource], name: str, root: Path
) -> tuple[BundledVersion, ...]:
    """Return the sources copied below ``root``, numbered from 1 in their order.

    A SavedModel goes to ``tensorflow/models/<name>/<number>``, the others, which our server runs
    without TensorFlow, to ``models/<name>/<number>``.
    """
    versions = []
    for number, source in enumerate(sources, start=1):
        above = f"{TENSORFLOW}/" if source.artifact.format == "saved_model" else ""
        folder = f"{above}models/{name}/{number}"
        names = [MANIFEST_FILE, *(file.path for file in source.artifact.files)]
        if (source.folder / SIGNATURE_FILE).is_file():
            names = [file.path for file in list_files(source.folder)]  # all that was signed
        elif (source.folder / PARITY_FILE).is_file():
            names.append(PARITY_FILE)
        for path in names:
            target = root / folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.folder / path, target)
        versions.append(BundledVersion(number, source.artifact.format, root, folder, source))
    return tuple(versions)


def write_archive(versions: Sequence[BundledVersion], name: str, path: Path) -> None:
    """Write SageMaker's ``model.tar.gz``: ``<name>/<number>/…``, the same bytes for the same files.

    Its TensorFlow Serving container wants numbers for the versions' folders
    (https://github.com/aws/sagemaker-tensorflow-serving-container).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for version in versions:
            for file in sorted(version.path.rglob("*")):
                if file.is_file():
                    inside = file.relative_to(version.path).as_posix()
                    entry = tarfile.TarInfo(f"{name}/{version.number}/{inside}")
                    entry.size, entry.mode = file.stat().st_size, 0o644
                    with file.open("rb") as stream:
                        archive.addfile(entry, stream)
