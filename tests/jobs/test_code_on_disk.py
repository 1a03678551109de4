"""The look at the code, by which the warm process knows that it is outdated."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agiwb.jobs import code_on_disk


def test_the_look_at_the_code_misses_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_on_disk, "PACKAGE_FOLDER", tmp_path)
    nested = tmp_path / "one" / "two"
    nested.mkdir(parents=True)
    assert code_on_disk.code_on_disk()
    assert not code_on_disk._listings.keys() & {str(tmp_path), str(nested)}, (
        "kept while it may change"
    )
    monkeypatch.setattr(code_on_disk, "_CLOCK_TICK_NS", 0)
    changes: list[Callable[[], object]] = [
        lambda: (nested / "new.py").write_text("x = 1"),
        lambda: (nested / "new.py").write_text("x = 22"),
        lambda: (nested / "new.py").rename(nested / "other.py"),
        lambda: (tmp_path / "one").rename(tmp_path / "three"),
        (tmp_path / "three" / "two" / "other.py").unlink,
    ]
    for change in changes:
        before = code_on_disk.code_on_disk()
        assert code_on_disk.code_on_disk() == before
        time.sleep(0.01)
        change()
        assert code_on_disk.code_on_disk() != before
    (tmp_path / "__pycache__").mkdir()
    before = code_on_disk.code_on_disk()
    (tmp_path / "__pycache__" / "compiled.py").touch()
    assert code_on_disk.code_on_disk() == before
