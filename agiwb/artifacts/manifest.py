"""The manifest that lies beside a model: what it is, and the digest of every file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from agiwb.artifacts.signature import Signature
from agiwb.errors import InputError, NotFoundError, WorkError
from agiwb.runs.files import StoredFile, damaged_files, list_files, write_atomic

MANIFEST_FILE = "artifact.json"
PARITY_FILE = "parity.json"

SERVED_NAME = r"^[A-Za-z0-9][\w.-]*$"
"""What a model may be called in a URL, and in the folders of what was served."""

Format = Literal["keras", "h5", "saved_model", "frozen_pb", "onnx", "litert"]

MODEL_FILES: dict[Format, str] = {
    "keras": "model.keras",
    "h5": "model.h5",
    "saved_model": "saved_model.pb",
    "frozen_pb": "frozen.pb",
    "onnx": "model.onnx",
    "litert": "model.tflite",
}
"""The file that makes a folder an artifact of its format; named as TensorFlow Serving expects."""


class Artifact(BaseModel):
    """A folder with a model in one format.

    ``source_sha256`` is the digest of the Keras model it was made from, ``files`` the model's
    files with their digests, relative to the folder.
    """

    model_config = ConfigDict(frozen=True)

    format: Format
    name: str
    dataset: str | None
    classes: tuple[str, ...]
    signature: Signature
    source_sha256: str
    files: tuple[StoredFile, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all the model's files."""
        return sum(file.size_bytes for file in self.files)


def check_served_name(name: str) -> str:
    """Return ``name``; raise InputError if no model can be served under it."""
    if not re.fullmatch(SERVED_NAME, name):
        raise InputError(f"The name {name!r} does not fit in a URL.", "Give a `model_name`.")
    return name


def list_model_files(folder: Path) -> tuple[StoredFile, ...]:
    """Return the model's files in an artifact folder: all but agiwb's own descriptions."""
    descriptions = {MANIFEST_FILE, PARITY_FILE}
    return tuple(file for file in list_files(folder) if file.path not in descriptions)


def write_artifact(folder: Path, artifact: Artifact) -> None:
    """Write the manifest into the artifact's folder."""
    write_atomic(folder / MANIFEST_FILE, artifact.model_dump_json(indent=2))


def read_artifact(folder: Path) -> Artifact:
    """Return the manifest of the artifact in ``folder``, its files checked against their digests.

    Raises:
        NotFoundError: There is no manifest, or it is not one.
        WorkError: A file was changed, or is missing.
    """
    try:
        artifact = Artifact.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise NotFoundError(
            f"The folder {folder} is not an artifact: its {MANIFEST_FILE} cannot be read.",
            "`agiwb convert` makes artifacts.",
        ) from error
    if changed := damaged_files(folder, artifact.files):
        raise WorkError(
            f"The artifact {folder} is not what its manifest says: {', '.join(changed)} changed.",
            "Convert the model again with `agiwb convert --fresh`.",
        )
    return artifact
