from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from agiwb.artifacts.manifest import read_artifact
from agiwb.artifacts.resolve import ArtifactSource
from agiwb.serving.publish import publish
from agiwb.serving.versions import Version
from tests.serving.onnx_models import make_artifact, write_half_plus_two


def artifact(folder, addend=2.0):
    make_artifact(folder, addend=addend)
    return ArtifactSource(folder, read_artifact(folder))


def folders(base_path):
    return sorted(path.name for path in base_path.iterdir() if path.is_dir())


def test_versions_count_up_and_hold_the_artifact(tmp_path):
    base = tmp_path / "base"
    one = publish(artifact(tmp_path / "a", 1), base)
    two = publish(artifact(tmp_path / "b", 2), base)
    assert (one, two) == (Version(1, base / "1"), Version(2, base / "2"))
    assert read_artifact(two.folder) == read_artifact(tmp_path / "b")


def test_the_same_model_is_not_published_twice(tmp_path):
    base = tmp_path / "base"
    publish(artifact(tmp_path / "a", 1), base)
    publish(artifact(tmp_path / "b", 2), base)
    assert publish(artifact(tmp_path / "again", 1), base).number == 1
    assert folders(base) == ["1", "2"]


def test_the_next_number_follows_the_highest(tmp_path):
    write_half_plus_two(tmp_path / "base" / "0041", addend=9)
    assert publish(artifact(tmp_path / "a"), tmp_path / "base").number == 42


def test_a_version_put_there_by_hand_is_recognised(tmp_path):
    write_half_plus_two(tmp_path / "base" / "7")
    assert publish(artifact(tmp_path / "a"), tmp_path / "base").number == 7


def test_files_are_linked_or_else_copied(tmp_path, monkeypatch):
    source = artifact(tmp_path / "a", 1)
    linked = publish(source, tmp_path / "linked").folder / "model.onnx"
    assert linked.samefile(source.folder / "model.onnx")

    def refuse(*_):
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    copied = publish(source, tmp_path / "copied").folder / "model.onnx"
    assert not copied.samefile(source.folder / "model.onnx")
    assert copied.read_bytes() == linked.read_bytes()


def test_a_failure_leaves_no_version_and_no_draft(tmp_path):
    source = artifact(tmp_path / "a")
    (source.folder / "model.onnx").unlink()
    with pytest.raises(FileNotFoundError):
        publish(source, tmp_path / "base")
    assert folders(tmp_path / "base") == []


def test_publishing_at_once_gives_each_model_one_number(tmp_path):
    sources = [artifact(tmp_path / str(index), index % 4) for index in range(16)]
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda source: publish(source, tmp_path / "base"), sources))
    assert folders(tmp_path / "base") == ["1", "2", "3", "4"]
    for index in range(4):
        assert len({version.number for version in versions[index::4]}) == 1
