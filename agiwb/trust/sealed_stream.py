"""A stream of bytes encrypted in chunks, of which none can be changed, moved, dropped or added.

Each stream has a key of its own, derived from the user's by HKDF-SHA256 (RFC 5869) with a random
salt. The chunks are sealed by AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar, Rogaway
and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015):
the nonce is the chunk's number, and whether it is the last. The header is authenticated with each.

    header   magic (18 bytes), salt (32 bytes), check of the key (16 bytes)
    chunks   1 MiB each, the last one shorter or as long, with 16 bytes of tag
"""

from __future__ import annotations

import hmac
import os
from typing import IO

from agiwb.errors import InputError, WorkError

MAGIC = b"agiwb encrypted 1\n"

_CHUNK_BYTES = 1 << 20
_TAG_BYTES = 16
_SALT_BYTES = 32
_CHECK_BYTES = 16
_HEADER_BYTES = len(MAGIC) + _SALT_BYTES + _CHECK_BYTES
_MOST_CHUNKS = 1 << 32


class SealingWriter:
    """A file to write plain bytes to; ``close`` seals the last chunk, without which none opens."""

    def __init__(self, stream: IO[bytes], key: bytes) -> None:
        """Write the header to ``stream``, which stays the caller's to close."""
        salt = os.urandom(_SALT_BYTES)
        sealing_key, check = _derived(key, salt)
        self._header = MAGIC + salt + check
        self._chunks = _Chunks(sealing_key, self._header)
        self._stream, self._pending = stream, bytearray()
        stream.write(self._header)

    def write(self, data: bytes) -> int:
        """Return how many bytes were taken: all."""
        self._pending += data
        while len(self._pending) > _CHUNK_BYTES:
            chunk = bytes(self._pending[:_CHUNK_BYTES])
            del self._pending[:_CHUNK_BYTES]
            self._stream.write(self._chunks.seal(chunk, last=False))
        return len(data)

    def close(self) -> None:
        """Write what is left as the last chunk."""
        self._stream.write(self._chunks.seal(bytes(self._pending), last=True))


class OpeningReader:
    """The plain bytes of a sealed stream; none is given that was not authenticated."""

    def __init__(self, stream: IO[bytes], key: bytes, name: str) -> None:
        """Read the header; ``name`` is what errors call the stream.

        Raises:
            InputError: The stream is none of ours, or sealed with another key.
        """
        self._stream, self._name = stream, name
        header = stream.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES or not header.startswith(MAGIC):
            raise InputError(
                f"The file {name} is not an encrypted artifact.", "`agiwb trust encrypt` makes one."
            )
        salt = header[len(MAGIC) : len(MAGIC) + _SALT_BYTES]
        sealing_key, check = _derived(key, salt)
        if not hmac.compare_digest(check, header[-_CHECK_BYTES:]):
            raise InputError(
                f"The artifact {name} was encrypted with another key, or its header was altered.",
                "Check AGIWB_ENCRYPTION_KEY_FILE or AGIWB_ENCRYPTION_KEY.",
            )
        self._chunks = _Chunks(sealing_key, header)
        self._ahead = stream.read(_CHUNK_BYTES + _TAG_BYTES)
        self._plain = bytearray()
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes, fewer at the end, or all that are left if it is negative.

        Raises:
            WorkError: A chunk was changed, moved or removed, or the end is missing.
        """
        while not self._ended and (size < 0 or len(self._plain) < size):
            self._open_next()
        taken = len(self._plain) if size < 0 else size
        data = bytes(self._plain[:taken])
        del self._plain[:taken]
        return data

    def _open_next(self) -> None:
        from cryptography.exceptions import InvalidTag

        sealed, self._ahead = self._ahead, self._stream.read(_CHUNK_BYTES + _TAG_BYTES)
        number = self._chunks.count
        try:
            self._plain += self._chunks.open(sealed, last=not self._ahead)
        except (InvalidTag, ValueError):
            raise WorkError(
                f"The encrypted artifact {self._name} is damaged: its chunk {number} was changed "
                "or moved, or what follows it is missing.",
                "Take the file again from whoever encrypted it.",
            ) from None
        self._ended = not self._ahead


class _Chunks:
    """Seals or opens chunks, each once and in order."""

    def __init__(self, key: bytes, header: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher, self._header = AESGCM(key), header
        self.count = 0

    def seal(self, plain: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(last=last), plain, self._header)

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        return self._cipher.decrypt(self._nonce(last=last), sealed, self._header)

    def _nonce(self, *, last: bool) -> bytes:
        if self.count >= _MOST_CHUNKS:
            raise WorkError("An artifact of more than 4 PiB is not encrypted.", "Split it.")
        nonce = bytes(7) + self.count.to_bytes(4, "big") + bytes([last])
        self.count += 1
        return nonce


def _derived(key: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """Return the key of one stream, and what tells that it is this key."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    material = HKDF(SHA256(), 32 + _CHECK_BYTES, salt, b"agiwb artifact").derive(key)
    return material[:32], material[32:]
