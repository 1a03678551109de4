"""Opening MLflow: its tables made once, its chatter off, its errors in a sentence."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from agiwb.errors import UnreachableError, WorkspaceError
from agiwb.runs.mlflow_start import start_mlflow
from agiwb.runs.postgres import comes_in_a_moment, exclusive, pauses
from agiwb.runs.tracking_address import TrackingAddress, look_for
from agiwb.staying import nothing_collected

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_CHATTY = ("mlflow", "alembic")
# What MLflow would say, in pages, of each error that ``_Reaching`` turns into a sentence.
_TOLD_BY_US = ("mlflow.store.db.utils", "sqlalchemy.pool", "psycopg", "urllib3.connectionpool")

_TABLES = "agiwb: the tables of MLflow"
# Its last table is committed together with the others. Optuna has one of the same name.
_WHOSE = "SELECT to_regclass('alembic_version') IS NOT NULL, to_regclass('studies') IS NOT NULL"

# MLflow uses two connections for some requests, and lends out eleven: threads that each hold one
# and wait for a second would wait for each other.
_AT_ONCE = threading.BoundedSemaphore(4)

# A dead server is to be noticed within a minute, not within a quarter of an hour; and whoever
# trains for hours keeps one connection of each kind, not five.
_DATABASE_SETTINGS = {"MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "1"}
_SERVER_SETTINGS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}

_MOST_TRIES = 5
"""To connect, within three seconds; MLflow itself would go on for two minutes."""

_opened: set[str] = set()
"""Histories that this process has opened; their tables are there."""


def open_client(workspace: Path, address: TrackingAddress) -> MlflowClient:
    """Return MLflow's client, the tables it needs made by one process alone.

    Raises:
        UnreachableError: The server is away; so do the client's methods if it is later.
        WorkspaceError: The history is damaged, or refuses whoever asks.
    """
    settings = {"database": _DATABASE_SETTINGS, "server": _SERVER_SETTINGS}.get(address.kind, {})
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    if address.uri not in _opened:
        look_for(address)  # before the import: who is refused is told at once
    with nothing_collected():
        start_mlflow()
        from mlflow.exceptions import MlflowException
        from mlflow.store.db import utils
        from mlflow.tracking import MlflowClient
        from sqlalchemy.exc import SQLAlchemyError

    for name in _CHATTY:  # after the import, which sets its own level
        logging.getLogger(name).setLevel(logging.WARNING)
    if address.may_be_away:
        for name in _TOLD_BY_US:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        utils.MAX_RETRY_COUNT = _MOST_TRIES
    try:
        with _alone(workspace, address):
            with nothing_collected():  # it imports its stores
                client = MlflowClient(tracking_uri=address.uri, registry_uri=address.uri)
            reaching = cast("MlflowClient", _Reaching(client, address))
            reaching.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        if address.may_be_away and _is_away(error):
            raise _unreachable(address, error) from None
        raise WorkspaceError(
            f"The run history {address.shown} cannot be opened: "
            f"{address.without_secrets(first_line(error))}",
            "If the file is damaged, move it away: the workspace then begins a new history."
            if address.kind == "file"
            else "If another version of MLflow made it, `mlflow db upgrade` brings it up to date.",
        ) from None
    _opened.add(address.uri)
    return reaching


def first_line(error: Exception) -> str:
    """Return what an error says, without the pages that some libraries add."""
    return str(error).strip().splitlines()[0]


@contextlib.contextmanager
def _alone(workspace: Path, address: TrackingAddress) -> Iterator[None]:
    """Keep out whoever else would make the tables: two who make them at once would both fail."""
    if address.database is None:
        from filelock import FileLock

        with FileLock(workspace / ".mlflow.lock"):
            yield
        return
    if address.uri in _opened:
        yield
        return
    with exclusive(address.database, _TABLES, shared=True) as connection:
        row = connection.execute(_WHOSE).fetchone()
        is_made, is_of_optuna = row or (False, False)
        if is_of_optuna:
            raise WorkspaceError(
                f"The database {address.shown} keeps searches; Optuna's tables and MLflow's do not "
                "fit into one.",
                "Give the run history a database of its own.",
            )
        if is_made:
            yield
            return
    with exclusive(address.database, _TABLES):
        yield


class _Reaching:
    """MLflow's client; a server that is away is told of in a sentence, and not waited for long.

    Thread safety: that of MLflow's client, for any number of threads.
    """

    def __init__(self, client: MlflowClient, address: TrackingAddress) -> None:
        self._client = client
        self._address = address

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if not callable(call):
            return call

        @functools.wraps(call)
        def reach(*args: Any, **named: Any) -> Any:
            waits = pauses()
            while True:
                try:
                    with _AT_ONCE:
                        return call(*args, **named)
                except Exception as error:
                    if not self._address.may_be_away or not _is_away(error):
                        raise
                    wait = next(waits, None) if comes_in_a_moment(str(error)) else None
                    if wait is None:
                        raise _unreachable(self._address, error) from None
                time.sleep(wait)

        return reach


def _unreachable(address: TrackingAddress, error: Exception) -> UnreachableError:
    said = (str(cause).strip() for cause in _causes(error))
    reason = min(filter(None, said), key=len, default=type(error).__name__)
    return UnreachableError(
        f"The run history {address.shown} cannot be reached: "
        f"{address.without_secrets(' '.join(reason.split()))}",
        "Is the server running, and does the network lead there?",
    )


def _is_away(error: Exception) -> bool:
    """Return whether ``error`` is for want of a connection, not about what was asked."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy import exc

    away = (
        exc.OperationalError,
        exc.InterfaceError,
        exc.TimeoutError,
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.RetryError,
    )
    return any(
        isinstance(cause, away)
        or (isinstance(cause, exc.DBAPIError) and cause.connection_invalidated)
        or (isinstance(cause, MlflowException) and cause.error_code == "TEMPORARILY_UNAVAILABLE")
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and what led to it."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
