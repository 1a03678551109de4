"""Artifacts encrypted at rest: what is refused, and that nothing plain is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from agiwb.artifacts.manifest import read_artifact
from agiwb.artifacts.resolve import resolve_artifact
from agiwb.errors import InputError, WorkError
from agiwb.runs.files import list_files
from agiwb.runs.store import open_store
from agiwb.trust.encryption import (
    ENCRYPTED_FILE,
    decrypt_folder,
    encrypt_folder,
    read_encrypted,
)
from agiwb.trust.key_files import make_encryption_key
from tests.serving.onnx_models import make_artifact

CHUNK = (1 << 20) + 16
HEADER = 66


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where private folders are made, and must not be left."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def left_in(temporary: Path) -> list[Path]:
    return list(temporary.glob("agiwb-*"))


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = make_encryption_key(tmp_path / "key")
    monkeypatch.delenv("AGIWB_ENCRYPTION_KEY", raising=False)
    monkeypatch.setenv("AGIWB_ENCRYPTION_KEY_FILE", str(path))
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """An artifact of three chunks and a bit."""
    folder = tmp_path / "plain"
    make_artifact(folder)
    content = np.random.default_rng(0).bytes(3 * (1 << 20))
    (folder / "assets").mkdir()
    (folder / "assets" / "large.bin").write_bytes(content)
    return folder


@pytest.fixture
def sealed(plain: Path, tmp_path: Path) -> Path:
    return encrypt_folder(plain, tmp_path / "sealed")


def test_every_file_comes_back_into_a_folder_of_the_owner_s(
    plain: Path, sealed: Path, temporary: Path
) -> None:
    private = decrypt_folder(sealed)
    assert list_files(private.path) == list_files(plain)
    assert private.path.stat().st_mode & 0o777 == 0o700
    private.close()
    private.close()
    assert left_in(temporary) == []


def test_nothing_plain_is_in_the_sealed_file_and_no_two_are_alike(
    plain: Path, sealed: Path, tmp_path: Path
) -> None:
    content = (sealed / ENCRYPTED_FILE).read_bytes()
    assert [path.name for path in sealed.iterdir()] == [ENCRYPTED_FILE]
    for secret in (b"artifact.json", b"model.onnx", b"addend", b"signature"):
        assert secret not in content
    again = encrypt_folder(plain, tmp_path / "again") / ENCRYPTED_FILE
    assert again.read_bytes()[18:] != content[18:]


def test_one_file_is_read_without_any_on_disk(plain: Path, sealed: Path, temporary: Path) -> None:
    assert read_encrypted(sealed, "artifact.json") == (plain / "artifact.json").read_bytes()
    assert read_encrypted(sealed, "no such") is None
    assert left_in(temporary) == []


def chunks(sealed: Path) -> list[bytes]:
    body = (sealed / ENCRYPTED_FILE).read_bytes()[HEADER:]
    return [body[start : start + CHUNK] for start in range(0, len(body), CHUNK)]


@pytest.mark.parametrize(
    "order",
    [[1, 0, 2, 3], [0, 2, 1, 3], [0, 1, 2], [0], [0, 1, 3], [0, 1, 1, 2, 3], [0, 1, 2, 3, 3], []],
    ids=str,
)
def test_chunks_cannot_be_moved_dropped_or_repeated(
    sealed: Path, temporary: Path, order: list[int]
) -> None:
    path, parts = sealed / ENCRYPTED_FILE, chunks(sealed)
    assert len(parts) == 4
    path.write_bytes(path.read_bytes()[:HEADER] + b"".join(parts[index] for index in order))
    with pytest.raises(WorkError, match=r"is damaged: its chunk \d"):
        decrypt_folder(sealed)
    assert left_in(temporary) == []


@pytest.mark.parametrize("bytes_left", [-1, -17, CHUNK + HEADER - 1, HEADER + 1, HEADER, 40, 0])
def test_a_truncated_file_is_refused(sealed: Path, temporary: Path, bytes_left: int) -> None:
    path = sealed / ENCRYPTED_FILE
    path.write_bytes(path.read_bytes()[:bytes_left])
    with pytest.raises((WorkError, InputError), match=r"is damaged|not an encrypted artifact"):
        decrypt_folder(sealed)
    assert left_in(temporary) == []


@pytest.mark.parametrize("at", [0, 20, 55, HEADER, HEADER + CHUNK - 1, HEADER + CHUNK, -1])
def test_no_bit_can_be_flipped(sealed: Path, temporary: Path, at: int) -> None:
    path = sealed / ENCRYPTED_FILE
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises((WorkError, InputError)):
        decrypt_folder(sealed)
    assert left_in(temporary) == []


def test_another_key_does_not_open_it(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_encryption_key(tmp_path / "other")
    monkeypatch.setenv("AGIWB_ENCRYPTION_KEY_FILE", str(other))
    with pytest.raises(InputError, match="encrypted with another key"):
        decrypt_folder(sealed)


def test_the_key_comes_from_one_place_and_is_kept_from_others(
    sealed: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key.chmod(0o644)
    with pytest.raises(InputError, match=r"open to other users \(mode 644\)"):
        decrypt_folder(sealed)
    monkeypatch.setenv("AGIWB_ENCRYPTION_KEY", key.read_text())
    with pytest.raises(InputError, match="Two keys"):
        decrypt_folder(sealed)
    monkeypatch.delenv("AGIWB_ENCRYPTION_KEY_FILE")
    decrypt_folder(sealed).close()
    monkeypatch.setenv("AGIWB_ENCRYPTION_KEY", "short")
    with pytest.raises(InputError, match="does not hold a key") as caught:
        decrypt_folder(sealed)
    assert "short" not in str(caught.value).replace("AGIWB_ENCRYPTION_KEY", "")
    monkeypatch.delenv("AGIWB_ENCRYPTION_KEY")
    with pytest.raises(InputError, match="No key is given"):
        decrypt_folder(sealed)


def test_an_encrypted_artifact_is_found_like_any_other(
    plain: Path, sealed: Path, workspace: Path
) -> None:
    found = resolve_artifact(str(sealed), "onnx", open_store())
    assert found.artifact == read_artifact(plain)
    assert found.encrypted == sealed
    assert resolve_artifact(str(sealed), "onnx", open_store()).folder == found.folder


@pytest.mark.parametrize("ending", ["exit", "error", "SIGTERM"])
def test_a_process_leaves_nothing_plain_however_it_ends(
    sealed: Path, temporary: Path, ending: str
) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from agiwb.trust.encryption import private_copy\n"
        f"print(private_copy(Path({str(sealed)!r})), flush=True)\n"
    )
    code += {"exit": "", "error": "1 / 0", "SIGTERM": "time.sleep(60)"}[ending]
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline().startswith(str(temporary))
    if ending == "SIGTERM":
        child.terminate()
    code_of_end = child.wait(60)
    assert code_of_end == {"exit": 0, "error": 1, "SIGTERM": -signal.SIGTERM}[ending]
    assert left_in(temporary) == []


def test_what_a_killed_process_left_is_removed_by_the_next(sealed: Path, temporary: Path) -> None:
    left, young = temporary / "agiwb-private-left", temporary / "agiwb-private-young"
    for folder in (left, young):
        folder.mkdir()
    (left / "model.onnx").write_text("plain")
    os.utime(left, (time.time() - 3600,) * 2)
    held = decrypt_folder(sealed)
    os.utime(held.path, (time.time() - 3600,) * 2)
    code = "from agiwb.trust.private_folder import PrivateFolder; PrivateFolder()"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not left.exists()
    assert young.exists()
    assert held.path.exists()
    held.close()
