"""What a server loads of signed and encrypted versions, and what it refuses."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from agiwb.artifacts.manifest import read_artifact
from agiwb.artifacts.resolve import ArtifactSource, resolve_artifact
from agiwb.runs.store import open_store
from agiwb.serving.publish import publish
from agiwb.serving.servables.folders import verify
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.status import Code, Refusal
from agiwb.serving.versions import Version
from agiwb.trust.encryption import ENCRYPTED_FILE, encrypt_folder
from agiwb.trust.key_files import make_encryption_key, make_signing_keys
from agiwb.trust.signing import SIGNATURE_FILE, sign_folder
from tests.serving.onnx_models import make_artifact


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return make_signing_keys(tmp_path / "signing")


@pytest.fixture
def signed(tmp_path: Path, keys: tuple[Path, Path]) -> ArtifactSource:
    folder = make_artifact(tmp_path / "artifact")
    (folder / "parity.json").write_text("{}")
    sign_folder(folder, keys[0])
    return ArtifactSource(folder, read_artifact(folder))


def answer(version: Version, public_key: Path | None) -> list[float]:
    servable = load_servable("m", version, public_key=public_key)
    try:
        return servable.run({"x": np.array([1.0, 2.0], np.float32)})["y"].tolist()
    finally:
        servable.close()


def test_a_signed_artifact_is_published_with_all_that_its_signature_covers(
    signed: ArtifactSource, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    version = publish(signed, tmp_path / "base")
    assert answer(version, keys[1]) == [2.5, 3.0]
    assert publish(signed, tmp_path / "base") == version
    sign_folder(signed.folder, make_signing_keys(tmp_path / "others")[0])
    assert publish(signed, tmp_path / "base").number == version.number + 1


@pytest.mark.parametrize("path", ["model.onnx", "artifact.json", SIGNATURE_FILE, "parity.json"])
def test_a_version_that_was_changed_is_refused(
    signed: ArtifactSource, tmp_path: Path, keys: tuple[Path, Path], path: str
) -> None:
    version = publish(signed, tmp_path / "base")
    file = version.folder / path
    content = bytearray(file.read_bytes())
    content[-1 if path != SIGNATURE_FILE else content.index(b'"payload"') + 40] ^= 1
    file.unlink()  # which may be the artifact's own file, too
    file.write_bytes(content)
    with pytest.raises(Refusal, match=path) as caught:
        answer(version, keys[1])
    assert caught.value.code == Code.PERMISSION_DENIED


def test_an_unsigned_version_is_refused_only_where_a_signature_is_required(
    tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    version = Version(1, make_artifact(tmp_path / "base" / "1"))
    assert answer(version, None) == [2.5, 3.0]
    with pytest.raises(Refusal, match="is not signed"):
        answer(version, keys[1])


def test_an_encrypted_artifact_is_published_encrypted_and_served(
    signed: ArtifactSource,
    tmp_path: Path,
    workspace: Path,
    keys: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    key = make_encryption_key(tmp_path / "key")
    monkeypatch.setenv("AGIWB_ENCRYPTION_KEY_FILE", str(key))
    sealed = encrypt_folder(signed.folder, tmp_path / "sealed")
    source = resolve_artifact(str(sealed), "onnx", open_store())
    copies = set(temporary.glob("agiwb-*"))
    version = publish(source, tmp_path / "base")
    assert [path.name for path in version.folder.iterdir()] == [ENCRYPTED_FILE]
    assert publish(source, tmp_path / "base") == version
    assert getattr(verify(tmp_path / "base", version), "classes", None) == ("y",)
    assert answer(version, keys[1]) == [2.5, 3.0]
    assert set(temporary.glob("agiwb-*")) == copies
    path = version.folder / ENCRYPTED_FILE
    path.unlink()
    path.write_bytes((sealed / ENCRYPTED_FILE).read_bytes()[:-1])
    with pytest.raises(Refusal, match="is damaged"):
        answer(version, keys[1])
    assert set(temporary.glob("agiwb-*")) == copies
