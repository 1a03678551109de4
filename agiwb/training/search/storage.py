"""Where studies are kept: SQLite in the workspace, or a database server.

A config is stored with its run, so no password may be in it. ``AGIWB_OPTUNA_STORAGE`` may have
one; it is used, and never shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from agiwb.errors import ConfigError, WorkspaceError
from agiwb.runs.database_url import parsed_url, secrets_of, shown, without_secrets
from agiwb.runs.postgres import patient
from agiwb.settings import Settings

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import URL

# PostgreSQL's codes for a row, a table or a type that is there already: two processes that open a
# new database at once both make Optuna's tables, and one of them finds the other's.
_MADE_MEANWHILE = {"23505", "42P07", "42710"}
_MOST_TRIES = 5


def storage_without_password(storage: str | None) -> str | None:
    """Return ``storage`` if it is a URL that may be stored with a run.

    Raises:
        ValueError: It is none, or has a password in it.
    """
    if storage is None:
        return None
    url = parsed_url(storage)
    if secrets_of(url):
        raise ValueError(
            "the URL has a password in it, and a config is kept with its run. Leave the password "
            "out and give it as PGPASSWORD or in ~/.pgpass; or give the whole URL as the "
            "environment variable AGIWB_OPTUNA_STORAGE instead."
        )
    return url.render_as_string(hide_password=False)


StorageUrl = Annotated[str | None, AfterValidator(storage_without_password)]
"""A config's field for the URL of a database."""


def storage_url(storage: str | None, workspace: Path, study: str) -> URL:
    """Return where ``study`` is kept: ``storage``, else what the environment says, else a file."""
    from sqlalchemy.engine import URL

    secret = Settings().optuna_storage
    if storage is None and secret is None:
        folder = workspace / "search"
        folder.mkdir(parents=True, exist_ok=True)
        return URL.create("sqlite", database=str(folder / f"{study}.db"))
    try:
        return parsed_url(storage or (secret.get_secret_value() if secret else ""))
    except ValueError as error:
        raise ConfigError(f"`AGIWB_OPTUNA_STORAGE`: {error}") from None


def open_storage(url: URL) -> RDBStorage:
    """Return Optuna's storage at ``url``, its tables made if there are none.

    Raises:
        WorkspaceError: It cannot be reached or used. The message has no password in it.
    """
    from optuna.storages import RDBStorage

    limited = url if url.drivername == "sqlite" else patient(url)
    address = limited.render_as_string(hide_password=False)
    for tries_left in reversed(range(_MOST_TRIES)):
        try:
            return RDBStorage(address)
        except Exception as error:  # noqa: BLE001  each driver raises its own
            code = getattr(getattr(error, "orig", None), "sqlstate", None)
            if code not in _MADE_MEANWHILE or not tries_left:
                raise _unusable(url, error) from None
    raise AssertionError  # the last try returned or raised


def _unusable(url: URL, error: Exception) -> WorkspaceError:
    reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    if "table schema" in reason:
        return WorkspaceError(
            f"The storage {shown(url)} cannot be opened: {reason}",
            "Another version of Optuna made its tables; or it keeps the run history, whose tables "
            "do not fit into one database with Optuna's: give searches a database of their own.",
        )
    return WorkspaceError(
        f"The storage {shown(url)} cannot be opened: {without_secrets(url, reason)}",
        "Is the server running, and may this user connect? A password comes from PGPASSWORD, "
        "~/.pgpass or AGIWB_OPTUNA_STORAGE.",
    )
