"""The import step: a model made elsewhere, inspected, and kept as an artifact of this workspace."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, field_validator

from agiwb.artifacts.manifest import (
    MODEL_FILES,
    SERVED_NAME,
    Artifact,
    Format,
    Lineage,
    QuantizedTensor,
    list_model_files,
    write_artifact,
)
from agiwb.artifacts.signature import Signature
from agiwb.config import Config
from agiwb.datasets.registry import DatasetName, load_dataset
from agiwb.errors import ConfigError, InputError
from agiwb.importing.detection import detect_format, files_of_model
from agiwb.importing.inspect import guarded, inspect_file, rewritten
from agiwb.importing.refusal import refused
from agiwb.importing.report import SCAN_FILE, Contents, ScanReport
from agiwb.importing.scanner import scan_besides
from agiwb.runs.context import Context
from agiwb.runs.files import sha256_of_file, sha256_of_tree, write_atomic
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.runs.store import RunStore

_NEEDS_TENSORFLOW = ("keras", "h5", "saved_model", "frozen_pb")
_FLEX = "Flex"


class ImportConfig(Config):
    """What is imported, and what is known of it."""

    path: Path = Field(
        description="Model: a .keras, .h5, .pb, .onnx or .tflite file, or a SavedModel's folder."
    )
    model_name: str | None = Field(
        None, pattern=SERVED_NAME, description="Name to register it by; by default the file's."
    )
    dataset: DatasetName | None = Field(
        None, description="Data set it was trained on, if it is known here."
    )
    classes: tuple[str, ...] = Field(
        (), description="What its outputs stand for, in order; by default the data set's classes."
    )
    custom_objects: str | None = Field(
        None,
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$",
        description="Module of your own, that you trust, with the classes that a Keras file names.",
    )

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()


class ImportRecord(Record):
    """An imported model: its name in the registry, and what the inspection found."""

    config: ImportConfig
    model_name: str
    dataset: str | None
    format: Format
    """What the file is."""
    formats: tuple[Format, ...]
    """The artifacts kept: the file's own, and ``keras`` if that could be made of it."""
    signature: Signature
    scan: ScanReport
    size_bytes: int


def _inputs(config: ImportConfig, store: RunStore) -> dict[str, Input]:
    kind = detect_format(config.path)
    files = files_of_model(config.path, kind)
    if kind == "saved_model":
        digests = [f"{file.relative_to(config.path)} {sha256_of_file(file)}" for file in files]
        found = {f"file {index}": Input(digest) for index, digest in enumerate(digests)}
    else:
        found = {"file": Input(sha256_of_file(config.path))}
    if config.dataset is not None:
        found["dataset"] = Input(load_dataset(config.dataset).fingerprint)
    return found


def _register(record: ImportRecord, store: RunStore) -> None:
    store.register_model(record.model_name, record)


@step("import_model", inputs=_inputs, publish=_register)
def import_model(config: ImportConfig, context: Context) -> ImportRecord:
    """Return the record of a model that was copied into the run, once it was found safe to load.

    The artifact is a folder named after its format, with ``artifact.json`` and ``scan.json``. A
    Keras file of another time (``.h5``, or written by Keras 2) is kept as Keras writes it today as
    well, in the folder ``keras``. Nothing in the file is run, and no library loads it before the
    inspection has passed; then one does in a fresh process, to tell the signature.

    Raises:
        NotFoundError: There is no such file.
        InputError: It is no model, it is damaged, or it is not safe to load. Nothing is kept.
    """
    kind = detect_format(config.path)
    original = context.files / "original" if kind == "keras" else context.files / kind
    path = _copy(config.path, kind, original)
    context.progress("inspect", 0, 2)
    with _refusals_naming(config.path, path):
        contents = _inspected(path, kind, config)
        report = ScanReport(
            format=kind,
            sha256=sha256_of_tree(path),
            size_bytes=sum(file.size_bytes for file in list_model_files(original)),
            contents=contents,
        )
        report = scan_besides(path, report)
        context.progress("inspect", 1, 2)
        folders = _loadable(original, kind, contents, config, context)
        described = {
            made: _describe(folder, made, contents, config) for made, folder in folders.items()
        }
    name = config.model_name or _name_of(config.path)
    classes = _classes(config)
    task = None if config.dataset is None else load_dataset(config.dataset).task
    for made, folder in folders.items():
        signature, quantized = described[made]
        write_atomic(folder / SCAN_FILE, report.model_dump_json(indent=2))
        manifest = Artifact(
            format=made,
            name=name,
            dataset=config.dataset,
            classes=classes,
            signature=signature,
            source_sha256=report.sha256,
            files=list_model_files(folder),
            task=task,
            quantization=quantized,
            opset=contents.opset,
            operators=contents.operators,
            custom_ops=tuple(op for op in contents.custom if not op.startswith(_FLEX)),
            flex_ops=tuple(op for op in contents.custom if op.startswith(_FLEX)),
            tool_versions=_writers(made, kind, contents),
            lineage=Lineage(source_run=context.run.id),
            created=datetime.now(UTC),
        )
        write_artifact(folder, manifest)
    context.progress("inspect", 2, 2)
    for change in contents.changes:
        context.say(f"Rewritten for Keras 3: {change}.")
    return ImportRecord(
        run=context.run,
        config=config,
        model_name=name,
        dataset=config.dataset,
        format=kind,
        formats=tuple(folders),
        signature=described[next(iter(folders))][0],
        scan=report,
        size_bytes=report.size_bytes,
    )


@contextmanager
def _refusals_naming(source: Path, copy: Path) -> Iterator[None]:
    """Have what is said of ``copy`` name the file that the user gave: the copy's name is ours."""
    try:
        yield
    except InputError as error:
        problem = error.problem.replace(f"The file {copy.name} ", f"The file {source.name} ")
        raise InputError(problem, error.fix) from error


def _inspected(path: Path, kind: Format, config: ImportConfig) -> Contents:
    try:
        return inspect_file(path, kind, config.custom_objects)
    except RecursionError:
        raise refused(path, "it is nested too deeply") from None


def _copy(source: Path, kind: Format, folder: Path) -> Path:
    """Return where the model lies in ``folder``, copied with the files it reads.

    What is inspected is the copy, so that nobody can change it in between.
    """
    files = files_of_model(source, kind)
    if kind == "saved_model":
        for file in files:
            target = folder / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        return folder
    folder.mkdir(parents=True)
    path = folder / MODEL_FILES[kind]
    shutil.copyfile(source, path)
    if kind == "onnx":
        from agiwb.importing.onnx_file import inspect_onnx

        for name in inspect_onnx(path, source.parent).external_files:
            target = folder / name
            if target.exists():
                raise refused(source, f"its external data would overwrite {name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.parent / name, target)
    return path


def _loadable(
    original: Path, kind: Format, contents: Contents, config: ImportConfig, context: Context
) -> dict[Format, Path]:
    """Return the artifacts' folders by format; the one to name first is the first."""
    if kind not in {"keras", "h5"}:
        return {kind: original}
    keras_folder = context.files / "keras"
    current = kind == "keras" and not contents.notes
    if current:
        return {"keras": original.rename(keras_folder)}
    keras_folder.mkdir()
    with tempfile.TemporaryDirectory(prefix="agiwb-import-") as place:
        source = original / MODEL_FILES[kind]
        if contents.changes:
            source = rewritten(source, kind, Path(place) / MODEL_FILES[kind])
        guarded(
            config.path,
            "loaded:resave",
            tensorflow=True,
            path=source,
            target=keras_folder / MODEL_FILES["keras"],
            custom_objects=config.custom_objects,
        )
    if kind == "keras" or contents.changes:
        shutil.rmtree(original)  # Keras 3 cannot load it
        return {"keras": keras_folder}
    return {"keras": keras_folder, "h5": original}


def _describe(
    folder: Path, kind: Format, contents: Contents, config: ImportConfig
) -> tuple[Signature, tuple[QuantizedTensor, ...]]:
    told = guarded(
        config.path,
        "loaded:describe",
        tensorflow=kind in _NEEDS_TENSORFLOW,
        folder=folder,
        kind=kind,
        operators=sorted(contents.operators),
        custom_objects=config.custom_objects,
    )
    quantized = tuple(map(QuantizedTensor.model_validate, told["quantization"]))
    return Signature.model_validate(told["signature"]), quantized


def _writers(made: Format, kind: Format, contents: Contents) -> dict[str, str]:
    """Return who wrote an artifact: as its file says, or Keras here and now."""
    anew = made != kind or contents.changes
    return {"keras": importlib.metadata.version("keras")} if anew else contents.written_by


def _classes(config: ImportConfig) -> tuple[str, ...]:
    if config.classes or config.dataset is None:
        return config.classes
    return tuple(load_dataset(config.dataset).classes)


def _name_of(path: Path) -> str:
    """Return a name for a model out of its file's, as it fits in a URL."""
    name = re.sub(r"[^\w.-]+", "-", path.stem if path.is_file() else path.name, flags=re.ASCII)
    name = name.strip("-._")
    if not name:
        raise ConfigError(
            f"The name of {path} makes no name for a model.", "Give one as `model_name`."
        )
    return name
