"""What the inspection of a file found; kept beside the artifact as ``scan.json``."""

from __future__ import annotations

from collections import Counter

from pydantic import BaseModel, ConfigDict

from agiwb.artifacts.manifest import Format

SCAN_FILE = "scan.json"
_LONGEST_WORDS = 60


class Contents(BaseModel):
    """What a file is made of.

    ``operators`` says how often each operator or layer class occurs, ``custom`` which of them are
    not the format's own, ``changes`` what was rewritten of an old file, ``notes`` what a reader
    should know. ``external_files`` are those beside it that it reads; ``written_by`` is what the
    file says of the program that wrote it, with its version.
    """

    model_config = ConfigDict(frozen=True)

    operators: dict[str, int] = {}
    custom: tuple[str, ...] = ()
    opset: int | None = None
    external_files: tuple[str, ...] = ()
    written_by: dict[str, str] = {}
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def joined(self, other: Contents) -> Contents:
        """Return what both hold together."""
        return Contents(
            operators=dict(Counter(self.operators) + Counter(other.operators)),
            custom=tuple(dict.fromkeys([*self.custom, *other.custom])),
            opset=self.opset if other.opset is None else other.opset,
            external_files=tuple(dict.fromkeys([*self.external_files, *other.external_files])),
            written_by={**self.written_by, **other.written_by},
            changes=(*self.changes, *other.changes),
            notes=(*self.notes, *other.notes),
        )


def said_writer(program: object, version: object) -> dict[str, str]:
    """Return what a file says of its writer, as far as it says it; of a stranger's words little."""
    if not isinstance(program, str) or not isinstance(version, str) or not (program and version):
        return {}
    return {program[:_LONGEST_WORDS]: version[:_LONGEST_WORDS]}


class ScanReport(BaseModel):
    """The whole inspection of an imported file: what was checked, and by what."""

    model_config = ConfigDict(frozen=True)

    format: Format
    sha256: str
    size_bytes: int
    contents: Contents
    scanner: str | None = None
    """Name and version of the scanner that was asked besides, if one is installed."""
    scanner_findings: tuple[str, ...] = ()
