"""Artifacts encrypted at rest: a folder as one sealed file, opened into a private folder only."""

from __future__ import annotations

import tarfile
import threading
import uuid
from pathlib import Path

from agiwb.errors import InputError, NotFoundError, WorkError
from agiwb.runs.files import list_files, sha256_of_file
from agiwb.trust.key_files import encryption_key
from agiwb.trust.private_folder import PrivateFolder
from agiwb.trust.sealed_stream import OpeningReader, SealingWriter

ENCRYPTED_FILE = "artifact.encrypted"
"""The one file in the folder of an encrypted artifact."""

_copies: dict[tuple[str, bytes], PrivateFolder] = {}
_copying = threading.Lock()


def is_encrypted(folder: Path) -> bool:
    """Return whether ``folder`` holds an encrypted artifact."""
    return (folder / ENCRYPTED_FILE).is_file()


def encrypt_folder(folder: Path, target: Path) -> Path:
    """Return ``target``, a folder that now holds all files of ``folder`` as one sealed file.

    ``folder`` stays as it is.

    Raises:
        InputError: ``folder`` has no files, ``target`` exists, or no key is given; see
            ``encryption_key``.
    """
    key = encryption_key()
    files = sorted(list_files(folder), key=lambda file: (file.size_bytes, file.path))
    if not files or is_encrypted(folder):
        what = "is encrypted already" if files else "has no files, or is not there"
        raise InputError(f"The folder {folder} {what}.", "Give the folder of an artifact.")
    if target.exists():
        raise InputError(f"There is a {target} already.", "Give another path.")
    target.mkdir(parents=True)
    path, draft = target / ENCRYPTED_FILE, target / f".{uuid.uuid4().hex}.part"
    try:
        with draft.open("wb") as stream:
            writer = SealingWriter(stream, key)
            # The smallest files come first: a description is read without the weights.
            with tarfile.open(fileobj=writer, mode="w|") as archive:  # type: ignore[call-overload]
                for file in files:
                    with (folder / file.path).open("rb") as content:
                        archive.addfile(_entry(file.path, file.size_bytes), content)
            writer.close()
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
        if not path.exists():
            target.rmdir()
    return target


def decrypt_folder(folder: Path) -> PrivateFolder:
    """Return a private folder with the files of the artifact in ``folder``; the caller closes it.

    Raises:
        InputError: ``folder`` is not encrypted, or no key is given, or another's.
        WorkError: The sealed file is damaged; nothing of it is left behind.
    """
    path = folder / ENCRYPTED_FILE
    key = encryption_key()
    private = PrivateFolder()
    try:
        with path.open("rb") as stream:
            reader = OpeningReader(stream, key, str(path))
            with tarfile.open(fileobj=reader, mode="r|") as archive:  # type: ignore[call-overload]
                archive.extractall(private.path, filter="data")
            reader.read()  # to the end, which says that nothing was cut off
    except BaseException as error:
        private.close()
        if isinstance(error, FileNotFoundError):
            raise NotFoundError(
                f"The folder {folder} holds no encrypted artifact.", f"It would be {path.name}."
            ) from None
        if isinstance(error, tarfile.TarError):
            raise WorkError(f"The encrypted artifact {path} holds no files: {error}.") from None
        raise
    return private


def private_copy(folder: Path) -> Path:
    """Return a private folder with the files of ``folder``'s artifact, kept until the process ends.

    The same artifact is decrypted once. Raises as ``decrypt_folder`` does.
    """
    path = folder / ENCRYPTED_FILE
    with _copying:
        digest = sha256_of_file(path)
        # Whoever asks again must still have the key.
        known = (digest, encryption_key())
        if known not in _copies:
            _copies[known] = decrypt_folder(folder)
        return _copies[known].path


def read_encrypted(folder: Path, name: str) -> bytes | None:
    """Return the file ``name`` of ``folder``'s artifact, decrypted in memory; None without it.

    Raises as ``decrypt_folder`` does, of what comes up to that file.
    """
    path = folder / ENCRYPTED_FILE
    with path.open("rb") as stream:
        reader = OpeningReader(stream, encryption_key(), str(path))
        with tarfile.open(fileobj=reader, mode="r|") as archive:  # type: ignore[call-overload]
            for entry in archive:
                if entry.name == name and (content := archive.extractfile(entry)) is not None:
                    return bytes(content.read())
    return None


def _entry(path: str, size: int) -> tarfile.TarInfo:
    """Return a header that says nothing of this machine: no owner and no times."""
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = size, 0o600
    return entry
