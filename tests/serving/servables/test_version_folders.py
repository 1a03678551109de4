from __future__ import annotations

import os
import shutil
import time

import pytest

from agiwb.errors import InputError
from agiwb.serving.servables import folders
from agiwb.serving.servables.folders import Settling, verify
from agiwb.serving.status import Code, Refusal
from agiwb.serving.versions import Version
from tests.serving.onnx_models import make_artifact, write_half_plus_two


class Clock:
    """The time, so many seconds ahead."""

    ahead_s = 0.0

    def time(self):
        return time.time() + self.ahead_s

    def monotonic(self):
        return time.monotonic() + self.ahead_s


def test_without_a_manifest_a_folder_is_complete_once_its_files_are_still(tmp_path, monkeypatch):
    version = Version(1, write_half_plus_two(tmp_path / "1"))
    weights = tmp_path / "1" / "weights.bin"
    settling = Settling(poll_s=600)
    assert settling.complete(version) is None
    clock = Clock()
    monkeypatch.setattr(folders, "time", clock)
    weights.write_bytes(b"one part")
    clock.ahead_s = 400
    weights.write_bytes(b"one part, and another")
    os.utime(weights, (clock.time(),) * 2)
    clock.ahead_s = 650
    assert settling.complete(version) is None
    clock.ahead_s = 1300
    assert [path for path, _, _ in settling.complete(version)] == ["model.onnx", "weights.bin"]


def test_a_copy_that_keeps_the_old_time_is_not_taken_for_still(tmp_path):
    folder = write_half_plus_two(tmp_path / "1")
    os.utime(folder / "model.onnx", (1e9, 1e9))
    assert Settling(poll_s=60).complete(Version(1, folder)) is None


def test_files_that_are_old_enough_need_no_second_look(tmp_path):
    folder = write_half_plus_two(tmp_path / "1")
    time.sleep(0.06)
    assert Settling(poll_s=0.05).complete(Version(1, folder))


def test_with_a_manifest_a_folder_is_complete_at_once(tmp_path):
    folder = make_artifact(tmp_path / "1")
    assert Settling(poll_s=60).complete(Version(1, folder))


def test_a_manifest_whose_files_have_not_all_come_is_waited_for(tmp_path):
    folder = make_artifact(tmp_path / "1")
    whole = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(whole[:-1])
    settling = Settling(poll_s=60)
    assert settling.complete(Version(1, folder)) is None
    (folder / "model.onnx").write_bytes(whole)
    assert settling.complete(Version(1, folder))


def test_an_empty_folder_is_never_complete(tmp_path):
    (tmp_path / "1").mkdir()
    assert Settling(poll_s=0).complete(Version(1, tmp_path / "1")) is None


def test_the_manifest_is_read_if_there_is_one(tmp_path):
    assert verify(tmp_path, Version(1, make_artifact(tmp_path / "1"))).classes == ("y",)
    assert verify(tmp_path, Version(2, write_half_plus_two(tmp_path / "2"))) is None


def test_no_file_is_read_but_the_manifest(tmp_path):
    """They are large, and the loader hashes them."""
    folder = make_artifact(tmp_path / "1")
    (folder / "model.onnx").write_bytes(b"other content")
    assert verify(tmp_path, Version(1, folder)).classes == ("y",)


def test_a_manifest_that_is_none_is_refused(tmp_path):
    folder = make_artifact(tmp_path / "1")
    (folder / "artifact.json").write_text("{")
    with pytest.raises(InputError, match=r"artifact\.json cannot be read"):
        verify(tmp_path, Version(1, folder))


def _link_the_folder(base_path, outside):
    (base_path / "1").symlink_to(outside)


def _link_a_file(base_path, outside):
    (base_path / "1").mkdir()
    (base_path / "1" / "model.onnx").symlink_to(outside / "model.onnx")


def _link_through_another_folder(base_path, outside):
    (base_path / "1").mkdir()
    (base_path / "shared").mkdir()
    (base_path / "1" / "assets").symlink_to(base_path / "shared")
    (base_path / "shared" / "model.onnx").symlink_to(outside / "model.onnx")


def _link_in_circles(base_path, outside):
    (base_path / "1").mkdir()
    (base_path / "1" / "model.onnx").symlink_to(base_path / "1" / "model.onnx")


@pytest.mark.parametrize(
    "link", [_link_the_folder, _link_a_file, _link_through_another_folder, _link_in_circles]
)
def test_a_link_out_of_the_base_path_is_refused(tmp_path, link):
    base_path = tmp_path / "base"
    base_path.mkdir()
    link(base_path, write_half_plus_two(tmp_path / "outside"))
    with pytest.raises(Refusal, match="leads out of the model's base path") as refused:
        verify(base_path, Version(1, base_path / "1"))
    assert refused.value.code is Code.PERMISSION_DENIED


def test_links_within_the_base_path_are_fine(tmp_path):
    base_path = tmp_path / "base"
    write_half_plus_two(base_path / "..data")
    (base_path / "1").symlink_to(base_path / "..data")
    (base_path / "1" / "again").symlink_to(base_path / "1")
    (tmp_path / "alias").symlink_to(base_path)
    assert verify(tmp_path / "alias", Version(1, tmp_path / "alias" / "1")) is None
    shutil.rmtree(base_path / "..data")
