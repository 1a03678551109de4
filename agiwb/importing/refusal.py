"""How an import is refused: in one sentence, with what to do about it."""

from __future__ import annotations

from pathlib import Path

from agiwb.errors import InputError


def refused(path: Path, why: str, fix: str = "") -> InputError:
    """Return what to raise where the file ``path`` is not imported, because of ``why``."""
    return InputError(
        f"The file {path.name} is not imported: {why}.",
        fix or "Get the model again from a source that you trust.",
    )


def quoted(text: object) -> str:
    """Return a name out of a file as it may be shown: short, and without control characters."""
    shown = repr(str(text))
    return shown if len(shown) <= 80 else f"{shown[:76]}…'"
