"""Keys in files: pairs that sign and verify, and keys that encrypt; private ones are the owner's.

A file with a private key is made with mode 0600, and refused if others may read it: a key that
others can copy proves nothing.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path

from agiwb.errors import InputError, NotFoundError
from agiwb.settings import Settings

KEY_BYTES = 32
"""Of a key that encrypts: AES-256."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OWNER_ONLY = 0o600
_PUBLIC = 0o644


def make_signing_keys(path: Path) -> tuple[Path, Path]:
    """Return the files of a new private key, ``path``, and of its public key, ``path``.pub.

    Both are PEM, of the curve P-256.

    Raises:
        InputError: One of the files exists, or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    public_path = path.with_name(f"{path.name}.pub")
    if public_path.exists():
        raise _exists(public_path)
    pem = serialization.Encoding.PEM
    _write_new(
        path,
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        _OWNER_ONLY,
    )
    subject = serialization.PublicFormat.SubjectPublicKeyInfo
    _write_new(public_path, private.public_key().public_bytes(pem, subject), _PUBLIC)
    return path, public_path


def make_encryption_key(path: Path) -> Path:
    """Return ``path``, where a new key that encrypts now is: 32 random bytes as base64.

    Raises:
        InputError: The file exists, or cannot be written.
    """
    _write_new(path, base64.urlsafe_b64encode(os.urandom(KEY_BYTES)) + b"\n", _OWNER_ONLY)
    return path


def require_private(path: Path) -> None:
    """Raise InputError unless ``path`` is a file that only its owner may read or write."""
    _read_private(path)


def encryption_key() -> bytes:
    """Return the 32 bytes of AGIWB_ENCRYPTION_KEY, or of the file AGIWB_ENCRYPTION_KEY_FILE.

    Raises:
        InputError: Neither is set, both are, or what is there is no key, or not kept from others.
    """
    settings = Settings()
    if (settings.encryption_key is None) == (settings.encryption_key_file is None):
        both = settings.encryption_key is not None
        raise InputError(
            "Two keys are given for what is encrypted." if both
            else "No key is given for what is encrypted.",
            "Set one of AGIWB_ENCRYPTION_KEY_FILE, a file that `agiwb trust keygen --encryption` "
            "makes, and AGIWB_ENCRYPTION_KEY, its content.",
        )  # fmt: skip
    if settings.encryption_key_file is not None:
        path = settings.encryption_key_file.expanduser()
        return _decoded(_read_private(path), f"The file {path}")
    assert settings.encryption_key is not None  # noqa: S101  one of the two is set
    return _decoded(settings.encryption_key.get_secret_value().encode(), "AGIWB_ENCRYPTION_KEY")


def _decoded(text: bytes, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InputError(
            f"{where} does not hold a key: that is {KEY_BYTES} bytes as base64.",
            "`agiwb trust keygen --encryption FILE` makes one.",
        )
    return key


def _read_private(path: Path) -> bytes:
    """Return the content of a file that is the owner's only; it is looked at as it is open."""
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if mode & _OTHERS:
                raise InputError(
                    f"The private key {path} is open to other users (mode {mode & 0o777:o}).",
                    f"Run `chmod 600 {path}`; if others may have read it, make another.",
                )
            return stream.read()
    except OSError as error:
        raise NotFoundError(
            f"The private key {path} cannot be read: {error.strerror}.",
            "Give a file that `agiwb trust keygen` made.",
        ) from None


def _write_new(path: Path, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, flags, mode), "wb") as stream:
            stream.write(content)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise InputError(
            f"The key {path} cannot be written: {error.strerror}.", "Give another path."
        ) from None


def _exists(path: Path) -> InputError:
    return InputError(
        f"There is a file {path} already.", "Give another path: a key is never written over."
    )
