"""The object store that a team shares: what ``AGIWB_ARTIFACTS`` names and fsspec opens.

Keys are names below that address, such as ``records/<run>.json``. An object is there whole or not
at all. Who we are is never in the address: fsspec's libraries find it as botocore and its like do,
in the environment, in a profile, or in the machine's own role.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agiwb.errors import ConfigError, WorkspaceError
from agiwb.settings import Settings

_VARIABLE = "AGIWB_ARTIFACTS"
_PACKAGES = {"file": "", "gs": "gcsfs", "s3": "s3fs"}
"""The package behind each kind of address."""
_WHO_WE_ARE = {
    "file": "",
    "gs": " Credentials come from the environment, as GOOGLE_APPLICATION_CREDENTIALS names their "
    "file, or from `gcloud auth application-default login`.",
    "s3": " Credentials come from the environment or from a profile, as AWS_PROFILE names one.",
}

_CONNECT_S, _READ_S = 5, 60
_S3: Mapping[str, Any] = {
    "config_kwargs": {
        "connect_timeout": _CONNECT_S,
        "read_timeout": _READ_S,
        "retries": {"max_attempts": 2, "mode": "standard"},
    },
}
_ACCESS = ("AWS_", "FSSPEC_", "GOOGLE_")
"""How the variables begin that say who we are, and where the store is."""

_DRAFT_SUFFIX = ".part"
_CREDENTIALS_IN_URL = re.compile(r"//[^/@\s]*@")

OnBytes = Callable[[int], None]
"""Told how many more bytes have been carried."""


def open_object_store() -> ObjectStore | None:
    """Return the object store that the environment names; None if it names none.

    Raises:
        ConfigError: The address is none, has a password in it, or is of a kind we cannot open.
    """
    # Each query of a log asks this; to read all settings takes as long as some queries do.
    if not any(name.upper() == _VARIABLE for name in os.environ):
        return None
    secret = Settings().artifacts
    return None if secret is None else ObjectStore(secret.get_secret_value())


class ObjectStore:
    """Objects below one address.

    Thread safety: every method may be called from any thread and from several processes. What the
    store does not carry out raises a WorkspaceError that says why, without any credentials.
    """

    def __init__(self, url: str) -> None:
        """Take the address; the store itself is asked when first needed."""
        self.url = _checked(url)
        parts = urlsplit(self.url)
        self._kind = parts.scheme
        self._root = parts.path if self._kind == "file" else parts.netloc + parts.path

    @property
    def is_folder(self) -> bool:
        """Whether the store is a folder of this machine's."""
        return self._kind == "file"

    @property
    def filesystem(self) -> Any:
        """The store as fsspec sees it."""
        known = frozenset((k, v) for k, v in os.environ.items() if k.startswith(_ACCESS))
        return _opened(self._kind, known, os.getpid())

    def path(self, key: str) -> str:
        """Return the path of an object in ``filesystem``."""
        return f"{self._root}/{key}"

    def address(self, key: str) -> str:
        """Return an object's address as DuckDB takes it."""
        return self.path(key) if self.is_folder else f"{self._kind}://{self.path(key)}"

    def known(self, sizes: Mapping[str, int]) -> Any:
        """Return a filesystem of objects, by their keys and bytes, for Arrow and DuckDB to read.

        The objects are never replaced. One that was deleted raises FileNotFoundError when read.
        """
        from agiwb.runs.known_objects import KnownObjects

        return KnownObjects(self.filesystem, {self.path(key): size for key, size in sizes.items()})

    def require_answer(self) -> None:
        """Raise WorkspaceError unless the store is there and lets us see what is in it."""
        self.sizes("no-such-prefix")

    def read(self, key: str) -> bytes | None:
        """Return what an object holds; None if there is no such object."""
        with self._asked():
            try:
                content: bytes = self.filesystem.cat_file(self.path(key))
            except FileNotFoundError:
                return None
            return content

    def write(self, key: str, content: bytes) -> None:
        """Make or replace an object."""
        with self._asked(), self._place(key) as path:
            self.filesystem.pipe_file(path, content)

    def upload(self, source: Path, key: str, on_bytes: OnBytes = lambda _: None) -> None:
        """Make or replace an object with what a file holds."""
        with self._asked(), self._place(key) as path:
            self.filesystem.put_file(str(source), path, callback=_telling(on_bytes))

    def download(self, key: str, target: Path, on_bytes: OnBytes = lambda _: None) -> bool:
        """Write an object into a file; return whether there is such an object."""
        with self._asked():
            try:
                self.filesystem.get_file(self.path(key), str(target), callback=_telling(on_bytes))
            except FileNotFoundError:
                return False
            return True

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        with self._asked(), contextlib.suppress(FileNotFoundError):
            self.filesystem.rm_file(self.path(key))

    def drop_unfinished(self, prefix: str) -> None:
        """Drop what uploads that were killed left below a prefix: unseen, and yet stored.

        Nothing is done if we may not; a rule of the bucket's does it in the end.
        """
        with contextlib.suppress(WorkspaceError), self._asked():
            if self._kind == "s3":
                bucket, _, key = self.path(prefix).partition("/")
                call = self.filesystem.call_s3
                found = call("list_multipart_uploads", Bucket=bucket, Prefix=f"{key}/")
                for one in found.get("Uploads", ()):
                    its = {"Key": one["Key"], "UploadId": one["UploadId"]}
                    call("abort_multipart_upload", Bucket=bucket, **its)
            elif self.is_folder:
                for draft in Path(self.path(prefix)).rglob(f".*{_DRAFT_SUFFIX}"):
                    draft.unlink(missing_ok=True)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the keys of all objects below a prefix such as ``records``, with their bytes."""
        with self._asked():
            found = self.filesystem.find(self.path(prefix), detail=True)
        skipped = len(self.path(""))
        return {
            path[skipped:]: int(about["size"])
            for path, about in sorted(found.items())
            if not path.rpartition("/")[2].startswith(".") and ".." not in path.split("/")
        }

    def names(self, prefix: str) -> list[str]:
        """Return the first part of the names below a prefix, each once and sorted."""
        with self._asked():
            try:
                found = self.filesystem.ls(self.path(prefix), detail=False)
            except FileNotFoundError:
                return []
        return sorted({path.rstrip("/").rpartition("/")[2] for path in found})

    @contextlib.contextmanager
    def _place(self, key: str) -> Iterator[str]:
        """Yield where to write: a folder's files, unlike objects, could be seen half written."""
        path = self.path(key)
        if not self.is_folder:
            yield path
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}{_DRAFT_SUFFIX}")
        try:
            yield str(draft)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  each filesystem raises its own
            raise WorkspaceError(
                f"The object store {self.url} cannot be used: {_said(error)}",
                f"Is it there, and may this user read and write it?{_WHO_WE_ARE[self._kind]}",
            ) from None


@functools.lru_cache(maxsize=4)
def _opened(kind: str, known: frozenset[tuple[str, str]], process: int) -> Any:
    """Return a filesystem of our own: for each process, and for each who we are."""
    import fsspec

    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if kind == "s3":
        options |= _S3
    elif kind == "gs":
        options |= _patience_of_gs()
    return fsspec.filesystem(kind, **options)


def _patience_of_gs() -> Mapping[str, Any]:
    """Return limits on how long gcsfs waits; that it asks six times, in half a minute, is fixed."""
    from aiohttp import ClientTimeout

    # It would show a traceback of each error that ``_asked`` turns into a sentence.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    timeout = ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S)
    return {"requests_timeout": timeout}


def _telling(on_bytes: OnBytes) -> Any:
    from fsspec import Callback

    class Telling(Callback):  # type: ignore[misc]  # fsspec is untyped
        def relative_update(self, inc: int = 1) -> None:
            super().relative_update(inc)
            on_bytes(inc)

        def absolute_update(self, value: int) -> None:
            on_bytes(value - self.value)
            super().absolute_update(value)

    return Telling()


def _checked(url: str) -> str:
    """Return the address without a slash at its end; no error shows what was given."""
    try:
        parts = urlsplit(url.strip())
        has_secret = parts.username is not None or "@" in parts.netloc
    except ValueError:
        raise ConfigError("`AGIWB_ARTIFACTS` is not an address.", _EXAMPLE) from None
    if has_secret or parts.query or parts.fragment:
        raise ConfigError(
            "`AGIWB_ARTIFACTS` has credentials in it, which would reach records and logs.",
            "Leave them out: give them in the environment (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY) or in a profile (AWS_PROFILE).",
        )
    if not parts.scheme:
        raise ConfigError("`AGIWB_ARTIFACTS` does not say what kind of store it is.", _EXAMPLE)
    if parts.scheme not in _PACKAGES:
        raise ConfigError(
            "`AGIWB_ARTIFACTS` is of a kind of store that cannot be opened.",
            _EXAMPLE,
        )
    is_folder = parts.scheme == "file"
    if is_folder and (parts.netloc or not parts.path.strip("/")):
        raise ConfigError("`AGIWB_ARTIFACTS` names no folder by its whole path.", _EXAMPLE)
    if not is_folder and not parts.netloc:
        raise ConfigError("`AGIWB_ARTIFACTS` names no bucket.", _EXAMPLE)
    _require_package(parts.scheme)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _require_package(kind: str) -> None:
    from importlib.util import find_spec

    if (package := _PACKAGES[kind]) and find_spec(package) is None:
        raise ConfigError(
            f"`AGIWB_ARTIFACTS` is of the kind {kind}://, which {package} opens: it is not "
            "installed.",
            f"Install it: `pip install {package}`.",
        )


def _said(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    if " " not in text:  # a name, or nothing
        text = f"{type(error).__name__} {text}".rstrip()
    return _CREDENTIALS_IN_URL.sub("//***@", text)


_EXAMPLE = "Write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, or file:///ABSOLUTE/FOLDER."
