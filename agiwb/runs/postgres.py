"""Connections to PostgreSQL: made within seconds or not at all, and locks that end with them."""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, LiteralString

from agiwb.errors import UnreachableError, WorkspaceError
from agiwb.runs.database_url import shown, without_secrets
from agiwb.runs.silence import ASKED_AGAIN, Silence
from agiwb.settings import Settings

if TYPE_CHECKING:
    from psycopg import Connection
    from sqlalchemy.engine import URL

_OPTIONS = {
    "client_encoding": "utf8",
    "connect_timeout": "5",  # seconds
    # A host that is gone without a word is noticed within twenty seconds, not after hours.
    "keepalives_idle": "5",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",  # milliseconds
}
_LOCK_TIMEOUT: LiteralString = "60s"
_PAUSES_S = (0.1, 0.3, 1.0, 3.0, 5.0)

# What a server says that will take connections in a moment; it has no code for a client that it
# does not let in.
_IN_A_MOMENT = (
    "too many clients",
    "too many connections",
    "remaining connection slots",
    "starting up",
    "recovery mode",
)
_HINT = "Is the server running"  # the driver's; ours comes after it
_GOING = ("shutting down", "terminating connection", "not yet accepting")


def patient(url: URL) -> URL:
    """Return ``url`` with limits on how long a dead host is waited for; it may have its own."""
    return url.set(query={**_OPTIONS, **url.query})


def place(url: URL) -> str:
    """Return which database ``url`` means, as it may be shown."""
    where = {name: value for name, value in url.query.items() if name == "host"}
    return shown(url.set(drivername="postgresql", query=where))


def comes_in_a_moment(problem: str) -> bool:
    """Return whether a server that said this is worth another try at once."""
    return any(words in problem for words in _IN_A_MOMENT)


def pauses() -> Iterator[float]:
    """Yield how many seconds to wait before each further try; about ten in all."""
    for pause in _PAUSES_S:
        yield pause * random.uniform(0.5, 1.5)  # noqa: S311  not all at the same moment


def connect(url: URL, *, anew: bool = False) -> Connection:
    """Return a connection on which each statement is its own transaction.

    A server that said nothing is left alone for a minute, by all processes of the workspace.

    Args:
        url: Of the database.
        anew: Ask the server even then.

    Raises:
        UnreachableError: The server does not answer, or takes no more connections.
        WorkspaceError: It refuses: a wrong password, no such database.
    """
    import psycopg

    conninfo = patient(url).set(drivername="postgresql").render_as_string(hide_password=False)
    silence = Silence(Settings().workspace_path, place(url))
    if not anew and (age_s := silence.age_s()) is not None:
        raise unreachable(url, f"it did not answer {age_s:.0f} s ago.", ASKED_AGAIN)
    waits = pauses()
    while True:
        try:
            connection = psycopg.connect(conninfo, autocommit=True)
        except psycopg.errors.ConnectionTimeout as error:
            silence.note()
            raise unreachable(url, f"{error}.", ASKED_AGAIN) from None
        except psycopg.Error as error:
            problem = str(error)
            wait = next(waits, None) if comes_in_a_moment(problem) else None
            if wait is None:
                raise _refusal(url, problem) from None
        else:
            silence.forget()
            return connection
        time.sleep(wait)


@contextlib.contextmanager
def exclusive(url: URL, what: str, *, shared: bool = False) -> Iterator[Connection]:
    """Yield a connection that holds the lock called ``what`` among all who use the database.

    The server frees it when the connection ends, however that comes about.

    Args:
        url: Of the database.
        what: Name of the lock.
        shared: Hold it together with others who share it, and keep out who does not.

    Raises:
        UnreachableError: The server does not answer, or another held the lock for a minute.
        WorkspaceError: See ``connect``.
    """
    import psycopg

    take: LiteralString = "pg_advisory_lock_shared" if shared else "pg_advisory_lock"
    key = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big", signed=True)
    with contextlib.closing(connect(url)) as connection:
        try:
            connection.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
            connection.execute(f"SELECT {take}(%s)", [key])
            yield connection
        except psycopg.OperationalError as error:
            raise unreachable(url, str(error)) from None


def unreachable(url: URL, problem: str, more: str = "") -> UnreachableError:
    """Return the error that says so, without a password in it, and ``more`` of what to do."""
    lines = [line.strip() for line in problem.splitlines()]
    said = " ".join(line for line in lines if line and not line.startswith(_HINT))
    return UnreachableError(
        f"The database {place(url)} cannot be reached: {without_secrets(url, said)}",
        f"Is the server running, and does the network lead there?{more}",
    )


def _refusal(url: URL, problem: str) -> WorkspaceError:
    lines = [line.strip() for line in problem.splitlines() if line.strip()]
    said = next((line for line in lines if "FATAL" in line), "")
    if not said or any(words in said for words in (*_IN_A_MOMENT, *_GOING)):
        return unreachable(url, problem)
    return WorkspaceError(
        f"The database {place(url)} refuses: {without_secrets(url, said)}",
        "Does it exist, and may this user connect? A password comes from PGPASSWORD, ~/.pgpass or "
        "the URL.",
    )
