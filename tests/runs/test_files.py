from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from agiwb.runs.files import (
    damaged_files,
    list_files,
    sha256_of_file,
    sha256_of_tree,
    write_atomic,
)


def test_a_file_is_replaced_whole_and_no_draft_is_left(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    assert path.read_text() == "two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_failed_write_leaves_the_former_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    write_atomic(path, "one")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "two")
    assert path.read_text() == "one"
    assert len(list(tmp_path.iterdir())) == 1


def test_digests_are_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    assert sha256_of_file(tmp_path / "a") == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_a_trees_digest_depends_on_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = sha256_of_tree(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = sha256_of_tree(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({before, renamed, sha256_of_tree(tmp_path)}) == 3


def test_damage_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    files = list_files(tmp_path)
    assert damaged_files(tmp_path, files) == []
    (tmp_path / "a").write_text("9")
    (tmp_path / "b").unlink()
    assert damaged_files(tmp_path, files) == ["a", "b"]
