"""Checking a ``.keras`` archive before anything is unpacked."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from pathlib import Path

from agiwb.importing.limits import (
    FREE_RATIO,
    HIGHEST_RATIO,
    LARGEST_CONFIG,
    LARGEST_TOTAL,
    MOST_FILES,
)
from agiwb.importing.refusal import quoted, refused

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MEMBERS = re.compile(r"config\.json|metadata\.json|model\.weights\.(h5|npz)|assets/.*|_?assets/")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def open_archive(path: Path) -> zipfile.ZipFile:
    """Return the archive ``path``, sure to hold a Keras model's files and no more than they need.

    Raises:
        InputError: It is no archive, or it holds what would be written elsewhere, what is too
            much, a link, or what is no part of a Keras model.
    """
    try:
        archive = zipfile.ZipFile(path)
        _check(path, archive)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        raise refused(path, "it is no zip archive, or a damaged one") from None
    return archive


def read_member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a description of the archive; raise InputError if it cannot be unpacked."""
    try:
        with archive.open(name) as stream:
            content = stream.read(LARGEST_CONFIG + 1)
    except (KeyError, *DAMAGED):
        raise refused(path, f"its {name} is missing or damaged") from None
    if len(content) > LARGEST_CONFIG:
        raise refused(path, f"its {name} is larger than it says")
    return content


def unpack_member(path: Path, archive: zipfile.ZipFile, name: str, target: Path) -> Path:
    """Return ``target`` with a member's content, of which no more than was told is written."""
    told = archive.getinfo(name).file_size
    written = 0
    try:
        with archive.open(name) as stream, target.open("wb") as output:
            while chunk := stream.read(1 << 20):
                written += len(chunk)
                if written > told:
                    raise refused(path, f"its {name} is larger than it says")
                output.write(chunk)
    except DAMAGED:
        raise refused(path, f"its {name} is damaged") from None
    return target


def _check(path: Path, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(members) > MOST_FILES:
        raise refused(path, f"it holds {len(members):,} files")
    if len(set(names)) < len(names):
        raise refused(path, "it holds two files of the same name")
    for member in members:
        _check_member(path, member)
    total = sum(member.file_size for member in members)
    if total > LARGEST_TOTAL:
        raise refused(path, f"it would unpack to {total:,} bytes")
    if CONFIG not in names:
        raise refused(path, f"it has no {CONFIG}", "Give a file that `model.save` wrote.")


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\x00" in name:
        raise refused(path, f"its part {quoted(name)} would be written outside its folder")
    if not _MEMBERS.fullmatch(name):
        raise refused(path, f"its part {quoted(name)} is not of a Keras model")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise refused(path, f"its part {quoted(name)} is a link")
    if member.flag_bits & 1 or member.compress_type not in _METHODS:
        raise refused(path, f"its part {quoted(name)} is encrypted or packed in an unusual way")
    packed = max(member.compress_size, 1)
    if member.file_size > FREE_RATIO and member.file_size / packed > HIGHEST_RATIO:
        raise refused(path, f"its part {quoted(name)} unpacks to {member.file_size:,} bytes")
    if name in {CONFIG, METADATA} and member.file_size > LARGEST_CONFIG:
        raise refused(path, f"its {name} has {member.file_size:,} bytes")


DAMAGED = (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, zlib.error)
"""What the zip library raises where the bytes are not what the archive says."""
