"""Which format a file is, by what it begins with, and which files belong to it."""

from __future__ import annotations

import stat
from pathlib import Path

from agiwb.artifacts.manifest import FORMAT_OF_SUFFIX, Format
from agiwb.errors import InputError, NotFoundError
from agiwb.importing.limits import LARGEST_FILE, LARGEST_TOTAL, MOST_FILES
from agiwb.importing.refusal import refused

_ZIP, _HDF5, _TFLITE = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"TFL3"
_SAVED_MODEL_PARTS = ("saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra")
"""What a SavedModel is loaded from. Requests for warming up, and what Keras 2 kept beside it to
build Python objects, are left behind."""


def detect_format(path: Path) -> Format:
    """Return the format of the file or folder ``path``; its content goes before its name.

    Raises:
        NotFoundError: There is nothing at ``path``.
        InputError: It is no model of a known format.
    """
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return "saved_model"
        raise InputError(
            f"The folder {path} is no SavedModel: it has no saved_model.pb.",
            "Give a SavedModel's folder, or a .keras, .h5, .pb, .onnx or .tflite file.",
        )
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.", "Check the path.")
    with path.open("rb") as stream:
        head = stream.read(8)
    if path.name == "saved_model.pb":
        raise InputError(
            f"The file {path} is one part of a SavedModel.", f"Give its folder: {path.parent}."
        )
    by_content = _by_content(head)
    by_name = FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if by_content is None and by_name in {"frozen_pb", "onnx"}:
        return by_name  # protobuf has no magic number
    if by_content is None:
        raise InputError(
            f"The file {path} is no model of a known format.",
            "Give a .keras, .h5, .pb, .onnx or .tflite file, or the folder of a SavedModel.",
        )
    if by_name not in {None, by_content, *(("keras",) if by_content == "h5" else ())}:
        raise refused(path, f"its name says {by_name}, and its content is {by_content}")
    return by_content


def _by_content(head: bytes) -> Format | None:
    if head.startswith(_ZIP):
        return "keras"
    if head == _HDF5:
        return "h5"
    return "litert" if head[4:] == _TFLITE else None


def files_of_model(path: Path, kind: Format) -> list[Path]:
    """Return the files to copy for the model at ``path``: itself, or a SavedModel's own.

    Files beside an ``.onnx`` are found by what it says; see ``external_files``.

    Raises:
        InputError: Among them is a link or a special file, or they are too many or too large.
    """
    if kind != "saved_model":
        found = [path]
    else:
        for name in ("saved_model.pbtxt", "saved_model.cpb"):
            if (path / name).exists():
                raise refused(path, f"it has a {name} besides its saved_model.pb")
        found = [each for part in _SAVED_MODEL_PARTS for each in _below(path / part)]
        found = _checked(path, found)
    if len(found) > MOST_FILES:
        raise refused(path, f"it has more than {MOST_FILES:,} files")
    sizes = [file.stat().st_size for file in found]
    if max(sizes) > LARGEST_FILE or sum(sizes) > LARGEST_TOTAL:
        raise refused(path, f"it has {sum(sizes):,} bytes")
    return found


def _below(path: Path) -> list[Path]:
    if path.is_dir() and not path.is_symlink():
        found: list[Path] = []
        for each in path.rglob("*"):
            if not each.is_dir() or each.is_symlink():
                found.append(each)
            if len(found) > MOST_FILES:
                break
        return sorted(found)
    return [path] if path.is_symlink() or path.exists() else []


def _checked(path: Path, files: list[Path]) -> list[Path]:
    for file in files:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise refused(
                path,
                f"{file.relative_to(path)} is a link",
                "If you trust where it points, copy the folder with `cp -rL`.",
            )
        if not stat.S_ISREG(mode):
            raise refused(path, f"{file.relative_to(path)} is no regular file")
    return files
