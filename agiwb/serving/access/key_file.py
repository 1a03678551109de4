"""The file that keeps the API keys: their hashes, names, scopes, ends and rates."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agiwb.errors import WorkspaceError
from agiwb.serving.access.identity import Scope

_OWNER_ONLY = 0o600


class StoredKey(BaseModel):
    """One key, without the key.

    Attributes:
        id: The key's public part, by which it is found; 8 hexadecimal digits.
        salt: 16 random bytes, as hexadecimal digits.
        sha256: Of the salt and the whole key, as hexadecimal digits.
        last_four: The key's last characters, to tell keys apart in a list.
        rate: Requests a second; None for any number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    id: str
    salt: str
    sha256: str
    last_four: str
    scopes: tuple[Scope, ...]
    created: datetime
    expires: datetime | None = None
    rate: float | None = Field(None, gt=0)


class StoredKeys(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[StoredKey, ...] = ()


def read_keys(path: Path) -> tuple[StoredKey, ...]:
    """Return the keys in the file; none if there is no file.

    Raises:
        WorkspaceError: The file cannot be read, or is not what this module writes.
    """
    try:
        return StoredKeys.model_validate_json(path.read_bytes()).keys
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise WorkspaceError(
            f"The API keys cannot be read from {path}: {reason}.",
            "Restore the file, or delete it and make new keys with `agiwb keys add`.",
        ) from None


@contextmanager
def changing(path: Path) -> Iterator[list[StoredKey]]:
    """Give the keys as a list to change, and write the list back; others wait meanwhile.

    The file is replaced as a whole and is readable by its owner only, from its first byte.

    Raises:
        WorkspaceError: The file cannot be read or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys = list(read_keys(path))
        yield keys
        _replace(path, StoredKeys(keys=tuple(keys)).model_dump_json(indent=2).encode())


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(draft, flags, _OWNER_ONLY), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise WorkspaceError(
            f"The API keys cannot be written to {path}: {error.strerror}.",
            "Check the folder's permissions and the free space.",
        ) from None
    finally:
        draft.unlink(missing_ok=True)
