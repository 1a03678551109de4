"""The manifest that lies beside a model: what it is, and the digest of every file."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from agiwb.artifacts.signature import Signature
from agiwb.errors import InputError, NotFoundError, WorkError
from agiwb.runs.files import StoredFile, damaged_files, list_files, write_atomic
from agiwb.trust.signing import SIGNATURE_FILE

MANIFEST_FILE = "artifact.json"
PARITY_FILE = "parity.json"

SERVED_NAME = r"^[A-Za-z0-9][\w.-]*$"
"""What a model may be called in a URL, and in the folders of what was served."""

Format = Literal[
    "keras",
    "h5",
    "saved_model",
    "frozen_pb",
    "onnx",
    "onnx_float16",
    "litert",
    "litert_float16",
    "litert_dynamic",
    "litert_int8",
    "litert_int16x8",
    "openvino",
]

FORMATS: tuple[Format, ...] = get_args(Format)

StandaloneFormat = Literal[
    "onnx",
    "onnx_float16",
    "litert",
    "litert_float16",
    "litert_dynamic",
    "litert_int8",
    "litert_int16x8",
]
"""The formats whose runtimes are small, need no TensorFlow, and are always installed."""

ServedFormat = Literal[StandaloneFormat, "saved_model", "keras"]
"""The formats that are served; the last two bring TensorFlow, in a process of their own."""

FULL_PRECISION: tuple[Format, ...] = (
    "keras",
    "h5",
    "saved_model",
    "frozen_pb",
    "onnx",
    "litert",
)
"""The formats that keep every weight as it is and need no optional package."""

FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".keras": "keras",
    ".h5": "h5",
    ".hdf5": "h5",
    ".pb": "frozen_pb",
    ".onnx": "onnx",
    ".tflite": "litert",
    ".lite": "litert",
}
"""What models' files made elsewhere are called, in lower case."""
MODEL_FILES: dict[Format, str] = {
    "keras": "model.keras",
    "h5": "model.h5",
    "saved_model": "saved_model.pb",
    "frozen_pb": "frozen.pb",
    "onnx": "model.onnx",
    "onnx_float16": "model.onnx",
    "litert": "model.tflite",
    "litert_float16": "model.tflite",
    "litert_dynamic": "model.tflite",
    "litert_int8": "model.tflite",
    "litert_int16x8": "model.tflite",
    "openvino": "model.xml",
}
"""The model's file in an artifact of each format; named as TensorFlow Serving expects.

Formats that differ in their numbers only share a file name: servers look for that name.
"""


class QuantizedTensor(BaseModel):
    """How one tensor's integers map to real values: ``scale * (integer - zero_point)``.

    There is one scale for the whole tensor, or one for each index of the dimension ``axis``.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None


class Lineage(BaseModel):
    """What an artifact was made from: the run of that model, and its artifact if it was one."""

    model_config = ConfigDict(frozen=True)

    source_run: str | None = None
    parent: str | None = None
    """Format and fingerprint of the artifact it was converted from, as ``onnx:<sha256>``."""


class Preprocessing(BaseModel):
    """What a caller has to do first, as the artifact begins after the model's first layers.

    ``vocabularies`` holds, for each input of the artifact that a lookup of strings made, its
    entries; an entry's index is its number.
    """

    model_config = ConfigDict(frozen=True)

    note: str
    layers: tuple[dict[str, object], ...] = ()
    """Keras' own configs of the layers left out, by which they can be built again."""
    vocabularies: dict[str, tuple[str, ...]] = {}


class Artifact(BaseModel):
    """A folder with a model in one format.

    Attributes:
        format: Of the model's file; see MODEL_FILES.
        name: What the model is called.
        dataset: The data set it was trained on, if that is known.
        classes: What the outputs stand for, in order; none if they are no classes.
        signature: What goes in and comes out, as the runtime of the format takes it.
        source_sha256: Digest of the file it was made from.
        files: The model's files with their digests, relative to the folder.
        task: What it predicts, in the words of ``agiwb.datasets.dataset.Task``.
        opset: ONNX' operator set.
        operators: How often each operator occurs; a layer's class for Keras' files.
        custom_ops: Operators that the format does not define.
        flex_ops: TensorFlow's operators in a LiteRT file, which needs TensorFlow to run them.
        quantization: The tensors that are integers in place of real values.
        tool_versions: Packages that wrote the file; of an imported one, what the file itself says.
        lineage: What it was made from.
        preprocessing: What has to be done to the inputs first, if anything.
        created: When it was written.
        divergence: In what it differs from its model by more than is allowed, where it was kept
            all the same.
    """

    model_config = ConfigDict(frozen=True)

    format: Format
    name: str
    dataset: str | None
    classes: tuple[str, ...]
    signature: Signature
    source_sha256: str
    files: tuple[StoredFile, ...]
    task: str | None = None
    opset: int | None = None
    operators: dict[str, int] = {}
    custom_ops: tuple[str, ...] = ()
    flex_ops: tuple[str, ...] = ()
    quantization: tuple[QuantizedTensor, ...] = ()
    tool_versions: dict[str, str] = {}
    lineage: Lineage = Lineage()
    preprocessing: Preprocessing | None = None
    created: datetime | None = None
    divergence: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Bytes of all the model's files."""
        return sum(file.size_bytes for file in self.files)


def format_of(folder: Path) -> Format:
    """Return the format of the model in ``folder``: its manifest's, else what its file tells.

    Raises:
        NotFoundError: The folder holds no model of a known format.
    """
    found = [kind for kind in FORMATS if (folder / MODEL_FILES[kind]).is_file()]
    if not found:
        raise NotFoundError(
            f"The folder {folder} holds no model.",
            f"It should hold one of: {', '.join(dict.fromkeys(MODEL_FILES.values()))}.",
        )
    try:
        stated = Artifact.model_validate_json((folder / MANIFEST_FILE).read_bytes()).format
    except (OSError, ValidationError):
        return found[0]
    return stated if stated in found else found[0]


def check_served_name(name: str) -> str:
    """Return ``name``; raise InputError if no model can be served under it."""
    if not re.fullmatch(SERVED_NAME, name):
        raise InputError(f"The name {name!r} does not fit in a URL.", "Give a `model_name`.")
    return name


def list_model_files(folder: Path) -> tuple[StoredFile, ...]:
    """Return the model's files in an artifact folder: all but agiwb's own descriptions."""
    descriptions = {MANIFEST_FILE, PARITY_FILE, SIGNATURE_FILE}
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
