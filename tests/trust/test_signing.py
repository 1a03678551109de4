"""What a signature proves, and every way to break it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agiwb.artifacts.resolve import resolve_artifact
from agiwb.errors import InputError, NotFoundError, WorkError
from agiwb.runs.store import open_store
from agiwb.trust.key_files import make_signing_keys
from agiwb.trust.signing import SIGNATURE_FILE, sign_folder, verify_folder
from tests.serving.onnx_models import make_artifact


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_signing_keys(tmp_path_factory.mktemp("keys") / "mine")


@pytest.fixture(scope="module")
def signed_once(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Path:
    folder = tmp_path_factory.mktemp("signed") / "artifact"
    make_artifact(folder)
    (folder / "assets").mkdir()
    (folder / "assets" / "words.txt").write_text("one\ntwo\n")
    sign_folder(folder, keys[0])
    return folder


@pytest.fixture
def signed(signed_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(signed_once, tmp_path / "artifact")


def flip_a_bit(path: Path, at: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_what_was_signed_verifies_wherever_it_lies(
    signed: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    verify_folder(signed, keys[1])
    verify_folder(shutil.move(signed, tmp_path / "elsewhere"), keys[1])


@pytest.mark.parametrize("path", ["model.onnx", "artifact.json", "assets/words.txt"])
def test_one_bit_of_any_file_is_noticed_and_the_file_named(
    signed: Path, keys: tuple[Path, Path], path: str
) -> None:
    flip_a_bit(signed / path)
    with pytest.raises(WorkError, match=f"is not what was signed: {path} changed"):
        verify_folder(signed, keys[1])


def test_files_that_changed_places_are_named(signed: Path, keys: tuple[Path, Path]) -> None:
    one, other = signed / "model.onnx", signed / "artifact.json"
    one.rename(signed / "aside")
    other.rename(one)
    (signed / "aside").rename(other)
    with pytest.raises(WorkError, match=r"artifact\.json, model\.onnx changed"):
        verify_folder(signed, keys[1])


@pytest.mark.parametrize("name", ["more.txt", ".gitignore", ".git/config", "assets/.hidden"])
def test_a_file_too_many_is_named(signed: Path, keys: tuple[Path, Path], name: str) -> None:
    (signed / name).parent.mkdir(exist_ok=True)
    (signed / name).write_text("x")
    with pytest.raises(WorkError, match=f"{name} added"):
        verify_folder(signed, keys[1])


def test_a_file_that_is_missing_is_named(signed: Path, keys: tuple[Path, Path]) -> None:
    (signed / "assets" / "words.txt").unlink()
    with pytest.raises(WorkError, match=r"assets/words\.txt removed"):
        verify_folder(signed, keys[1])


def test_a_link_is_no_file_of_the_artifact(
    signed: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    (signed / "model.onnx").rename(tmp_path / "model.onnx")
    (signed / "model.onnx").symlink_to(tmp_path / "model.onnx")
    with pytest.raises(WorkError):
        verify_folder(signed, keys[1])


def test_another_signature_proves_nothing(
    signed: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    others = make_signing_keys(tmp_path / "others")
    sign_folder(signed, others[0])
    verify_folder(signed, others[1])
    with pytest.raises(WorkError, match="was not made with the key of"):
        verify_folder(signed, keys[1])


def test_a_signature_of_another_artifact_does_not_fit(
    signed: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    other = tmp_path / "other"
    make_artifact(other, addend=3.0)
    sign_folder(other, keys[0])
    shutil.copy(other / SIGNATURE_FILE, signed)
    with pytest.raises(WorkError, match=r"model\.onnx changed; assets/words\.txt added"):
        verify_folder(signed, keys[1])


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"verificationMaterial": {}}'])
def test_what_is_no_signature_is_refused(
    signed: Path, keys: tuple[Path, Path], content: bytes
) -> None:
    (signed / SIGNATURE_FILE).write_bytes(content)
    with pytest.raises(WorkError, match="was altered since"):
        verify_folder(signed, keys[1])


def test_no_bit_of_the_signed_statement_can_be_flipped(
    signed: Path, keys: tuple[Path, Path]
) -> None:
    path = signed / SIGNATURE_FILE
    whole = path.read_bytes()
    start = whole.index(b'"payload"')
    for at in range(start + 15, start + 600, 37):
        path.write_bytes(whole)
        flip_a_bit(path, at)
        with pytest.raises(WorkError):
            verify_folder(signed, keys[1])


def test_what_is_not_signed_is_said_to_be_so(signed: Path, keys: tuple[Path, Path]) -> None:
    (signed / SIGNATURE_FILE).unlink()
    with pytest.raises(NotFoundError, match="is not signed"):
        verify_folder(signed, keys[1])


def test_a_private_key_is_its_owners_only(signed: Path, tmp_path: Path) -> None:
    private, public = make_signing_keys(tmp_path / "mine")
    assert private.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="never written over"):
        make_signing_keys(private)
    public.chmod(0o600)
    with pytest.raises(InputError, match="holds no private key"):
        sign_folder(signed, public)
    private.chmod(0o640)
    with pytest.raises(InputError, match=r"is open to other users \(mode 640\)"):
        sign_folder(signed, private)


def test_openssf_s_own_command_verifies_our_signature(
    signed: Path, keys: tuple[Path, Path]
) -> None:
    words = ["verify", "key", "--public_key", str(keys[1]), "--no-ignore-git-paths"]
    paths = ["--signature", str(signed / SIGNATURE_FILE), "--ignore-paths",
             str(signed / SIGNATURE_FILE), str(signed)]  # fmt: skip
    command = [sys.executable, "-m", "model_signing", *words, *paths]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    flip_a_bit(signed / "model.onnx")
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0


def test_where_it_is_required_only_signed_artifacts_are_found(
    signed: Path, workspace: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGIWB_REQUIRE_SIGNATURE", str(keys[1]))
    assert resolve_artifact(str(signed), "onnx", open_store()).artifact.format == "onnx"
    flip_a_bit(signed / "assets" / "words.txt")
    with pytest.raises(WorkError, match=r"words\.txt changed"):
        resolve_artifact(str(signed), "onnx", open_store())
    (signed / SIGNATURE_FILE).unlink()
    with pytest.raises(NotFoundError, match="is not signed"):
        resolve_artifact(str(signed), "onnx", open_store())
