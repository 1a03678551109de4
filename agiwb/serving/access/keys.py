"""API keys: made, revoked, and checked in about a microsecond."""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agiwb.errors import InputError, NotFoundError, WorkspaceError, did_you_mean
from agiwb.serving.access.identity import SCOPES, Identity, Scope
from agiwb.serving.access.key_file import StoredKey, changing, read_keys

_log = logging.getLogger(__name__)

PREFIX = "agiwb_"
"""What every key begins with, so that scanners for leaked secrets can find them."""

_SECRET_BYTES = 32
_LONGEST = 200
_LOOK_AGAIN_S = 0.1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def keys_path(workspace: Path) -> Path:
    """Return where a workspace keeps its API keys."""
    return workspace / "serving" / "keys.json"


def add_key(
    path: Path,
    name: str,
    scopes: Iterable[Scope],
    *,
    lifetime: timedelta | None = None,
    rate: float | None = None,
) -> tuple[str, StoredKey]:
    """Make a key and keep its hash; return the key, which nobody can tell again, and its entry.

    Args:
        path: The file of :func:`keys_path`.
        name: Unlike any other key's; letters, digits, ``.``, ``_`` and ``-``.
        scopes: What it allows.
        lifetime: After which it ends; None for never.
        rate: Requests a second; None for any number.

    Raises:
        InputError: The name, a scope, the lifetime or the rate will not do.
        WorkspaceError: The file cannot be read or written.
    """
    chosen = tuple(scope for scope in SCOPES if scope in set(scopes))
    _check(name, set(scopes), lifetime, rate)
    key_id = secrets.token_hex(4)
    key = f"{PREFIX}{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    salt = secrets.token_bytes(16)
    now = datetime.now(UTC).replace(microsecond=0)
    entry = StoredKey(
        name=name,
        id=key_id,
        salt=salt.hex(),
        sha256=_digest(salt, key).hex(),
        last_four=key[-4:],
        scopes=chosen,
        created=now,
        expires=now + lifetime if lifetime else None,
        rate=rate,
    )
    with changing(path) as keys:
        if any(other.name == name for other in keys):
            raise InputError(
                f"There is an API key `{name}` already.",
                f"Choose another name, or revoke it first: `agiwb keys revoke {name}`.",
            )
        keys.append(entry)
    return key, entry


def revoke_key(path: Path, name: str) -> StoredKey:
    """Forget the key of this name; servers refuse it within a tenth of a second.

    Raises:
        NotFoundError: There is no such key.
        WorkspaceError: The file cannot be read or written.
    """
    with changing(path) as keys:
        for entry in keys:
            if entry.name == name:
                keys.remove(entry)
                return entry
        hint = did_you_mean(name, [entry.name for entry in keys]) if keys else ""
        raise NotFoundError(f"There is no API key `{name}`.", hint)


@dataclass(frozen=True, slots=True)
class _Known:
    """What checking one key needs, with nothing left to convert."""

    salt: bytes
    sha256: bytes
    expires: datetime | None
    identity: Identity


class KeyRing:
    """The keys of a file, as a server checks them.

    The file is looked at again when a key is not known, and otherwise at most ten times a second:
    a new key counts at once, a revoked one is refused after a tenth of a second. A file that is
    damaged or gone holds no keys. Thread-safe.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, _Known] = {}
        self._read_of: tuple[int, int, int] | None = None
        self._looked_at = -math.inf

    def find(self, key: str) -> Identity | None:
        """Return whose key this is; None if nobody's, or if it has ended."""
        if not key.startswith(PREFIX) or len(key) > _LONGEST:
            return None
        key_id = key[len(PREFIX) :].partition("_")[0]
        now = time.monotonic()
        if now - self._looked_at > _LOOK_AGAIN_S or key_id not in self._known:
            self._look()
            self._looked_at = now
        known = self._known.get(key_id)
        if known is None:
            return None
        # The secret has 256 random bits, so one SHA-256 is all it needs: slow hashes (bcrypt,
        # scrypt) make guessable passwords expensive to guess, and this cannot be guessed.
        if not hmac.compare_digest(_digest(known.salt, key), known.sha256):
            return None
        if known.expires is not None and datetime.now(UTC) >= known.expires:
            return None
        return known.identity

    def _look(self) -> None:
        try:
            status = self._path.stat()
        except OSError:
            self._known, self._read_of = {}, None
            return
        state = (status.st_mtime_ns, status.st_ino, status.st_size)
        if state != self._read_of:
            self._known = self._read()
            self._read_of = state

    def _read(self) -> dict[str, _Known]:
        try:
            entries = read_keys(self._path)
        except WorkspaceError:
            _log.exception("No API key is accepted.")
            return {}
        known = {}
        for entry in entries:
            try:
                known[entry.id] = _Known(
                    bytes.fromhex(entry.salt),
                    bytes.fromhex(entry.sha256),
                    entry.expires,
                    Identity(f"key:{entry.name}", frozenset(entry.scopes), entry.rate),
                )
            except ValueError:
                _log.error("The API key %r is damaged, and not accepted.", entry.name)
        return known


def _digest(salt: bytes, key: str) -> bytes:
    return hashlib.sha256(salt + key.encode("utf-8", "surrogatepass")).digest()


def _check(name: str, scopes: set[Scope], lifetime: timedelta | None, rate: float | None) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"An API key cannot be named {name!r}.",
            "Use up to 64 letters, digits, dots, hyphens and underscores.",
        )
    if not scopes:
        raise InputError("The API key has no scope.", f"Choose from: {', '.join(SCOPES)}.")
    if unknown := scopes - set(SCOPES):
        word = min(unknown)
        raise InputError(f"There is no scope `{word}`.", did_you_mean(word, SCOPES))
    if lifetime is not None and lifetime <= timedelta(0):
        raise InputError("The API key would have ended already.", "Give it a day or more.")
    if rate is not None and not 0 < rate < float("inf"):
        raise InputError(f"The rate {rate} is not above 0.", "Give requests a second.")
