"""Inspecting a file of any format, before a library loads it."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from agiwb.artifacts.manifest import Format
from agiwb.errors import InputError, WorkError
from agiwb.importing.archive import (
    CONFIG,
    METADATA,
    WEIGHTS,
    open_archive,
    read_member,
    unpack_member,
)
from agiwb.importing.keras_config import inspect_config, parse_config
from agiwb.importing.keras_rescue import is_keras_2, rescue
from agiwb.importing.limits import INSPECTION
from agiwb.importing.onnx_file import inspect_onnx
from agiwb.importing.refusal import refused
from agiwb.importing.report import Contents, said_writer
from agiwb.importing.saved_model import inspect_frozen_graph, inspect_saved_model
from agiwb.importing.tflite_file import inspect_tflite
from agiwb.runtimes.fresh_process import call_in_fresh_process


def inspect_file(path: Path, kind: Format, trusted: str | None = None) -> Contents:
    """Return what the model ``path`` holds, found without running or loading any of it.

    Args:
        path: The file, or a SavedModel's folder.
        kind: Its format.
        trusted: Module of the user's own whose classes a Keras file may name.

    Raises:
        InputError: It is damaged, or not safe to load; the message says why.
    """
    if kind == "keras":
        return _inspect_keras(path, trusted)
    if kind == "h5":
        return _inspect_h5(path, trusted)
    if kind == "saved_model":
        return inspect_saved_model(path)
    if kind == "frozen_pb":
        return inspect_frozen_graph(path)
    if kind == "onnx":
        return inspect_onnx(path, path.parent)
    return inspect_tflite(path)


def guarded(path: Path, function: str, /, *, tensorflow: bool = False, **arguments: Any) -> Any:
    """Return what a function of this package says in a fresh process, which it may well crash.

    Raises:
        InputError: The function refused the file, or its process crashed or passed a limit.
    """
    try:
        return call_in_fresh_process(
            f"agiwb.importing.{function}", arguments, tensorflow=tensorflow, limits=INSPECTION
        )
    except WorkError as error:
        why = error.problem.rstrip(".")
        raise refused(path, f"it could not be read in a process of its own: {why}") from None


def rewritten(path: Path, kind: Format, target: Path) -> Path:
    """Return ``target``: the Keras file ``path`` with a description that Keras 3 reads.

    Raises:
        InputError: It uses what Keras 3 has no equal of.
    """
    if kind == "h5":
        told = guarded(path, "hdf5_file:inspect_hdf5", path=path)
        config, _ = rescue(parse_config(told["config"], path), path)
        guarded(path, "rewriting:rewrite_hdf5", path=path, target=target, config=json.dumps(config))
        return target
    with open_archive(path) as archive, zipfile.ZipFile(target, "w") as output:
        for member in archive.infolist():
            if member.filename == CONFIG:
                config, _ = rescue(parse_config(read_member(path, archive, CONFIG), path), path)
                output.writestr(CONFIG, json.dumps(config))
            elif not member.is_dir():
                with archive.open(member) as stream, output.open(member.filename, "w") as copy:
                    while chunk := stream.read(1 << 20):
                        copy.write(chunk)
    return target


def _inspect_keras(path: Path, trusted: str | None) -> Contents:
    with open_archive(path) as archive:
        config = parse_config(read_member(path, archive, CONFIG), path)
        names = archive.namelist()
        metadata: Any = {}
        if METADATA in names:
            metadata = parse_config(read_member(path, archive, METADATA), path)
        if "model.weights.npz" in names:
            raise refused(path, "its weights are in NumPy's format, which may hold pickles")
        if WEIGHTS in names:
            with tempfile.TemporaryDirectory(prefix="agiwb-import-") as place:
                weights = unpack_member(path, archive, WEIGHTS, Path(place) / WEIGHTS)
                guarded(path, "hdf5_file:inspect_hdf5", path=weights)
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return _described(config, version, path, trusted)


def _inspect_h5(path: Path, trusted: str | None) -> Contents:
    told = guarded(path, "hdf5_file:inspect_hdf5", path=path)
    if told["config"] is None:
        raise InputError(
            f"The file {path.name} holds weights only, and no model.",
            "Give a file that `model.save` wrote, not `model.save_weights`.",
        )
    return _described(parse_config(told["config"], path), told["keras_version"], path, trusted)


def _described(config: Any, version: object, path: Path, trusted: str | None) -> Contents:
    if not isinstance(config, dict) or "class_name" not in config:
        raise refused(path, "its description names no model")
    contents = inspect_config(config, path, trusted)
    contents = contents.model_copy(update={"written_by": said_writer("keras", version)})
    if is_keras_2(version, config):
        _, changes = rescue(config, path)
        return contents.model_copy(
            update={"changes": changes, "notes": (f"written by Keras {version or '2'}",)}
        )
    return contents
