"""A ledger's lines in the PostgreSQL database that a team shares.

A line is a row, committed before anybody acts on it. The model and the number of the line are its
key: of two who write the same line one is refused, even if a lock was lost with its connection.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agiwb.errors import UnreachableError, WorkspaceError
from agiwb.maintenance.ledger_file import FileLines
from agiwb.maintenance.ledger_lines import not_written
from agiwb.runs.database_url import without_secrets
from agiwb.runs.postgres import connect, exclusive, place, unreachable

if TYPE_CHECKING:
    from psycopg import Connection
    from sqlalchemy.engine import URL

_TABLE = "agiwb_promotions"
_IS_THERE = f"SELECT to_regclass('{_TABLE}') IS NOT NULL"
_MAKE = f"""
    CREATE TABLE {_TABLE} (
        model text NOT NULL, number integer NOT NULL, line bytea NOT NULL,
        PRIMARY KEY (model, number)
    )
"""
_READ = f"SELECT line FROM {_TABLE} WHERE model = %s ORDER BY number"  # noqa: S608  a constant
_ONE = f"SELECT line FROM {_TABLE} WHERE model = %s AND number = %s"  # noqa: S608
_APPEND = f"INSERT INTO {_TABLE} (model, number, line) VALUES (%s, %s, %s)"  # noqa: S608
_MODELS = f"SELECT DISTINCT model FROM {_TABLE}"  # noqa: S608


class DatabaseLines:
    """Lines in a table; see LedgerLines for the contract.

    ``former`` has what a workspace decided before it had a database. The first decision carries it
    over, unless somebody has decided about the model in the database.
    """

    remedy = "Restore the table from a backup; without it nobody knows the champion."

    def __init__(self, url: URL, model: str, former: FileLines) -> None:
        self._url = url
        self._model = model
        self._former = former

    @property
    def where(self) -> str:
        return f"{_place(self._url)}, model {self._model}"

    def read(self) -> list[bytes]:
        with _reading(self._url) as connection:
            found = connection and connection.execute(_READ, [self._model]).fetchall()
            return [bytes(row[0]) for row in found or ()] or self._former.read()

    @contextlib.contextmanager
    def locked(self) -> Iterator[_RowPen]:
        with exclusive(self._url, f"agiwb: decisions on {self._model}") as connection:
            _make_table(self._url)
            pen = _RowPen(self._url, self._model, connection, [])
            pen.begin(self._former.read())
            try:
                yield pen
            finally:
                pen.close()


def models_in(url: URL) -> list[str]:
    """Return the models that somebody has decided about in a database, sorted.

    Raises:
        WorkspaceError: It cannot be read.
    """
    with _reading(url) as connection:
        found = connection.execute(_MODELS).fetchall() if connection is not None else []
    return sorted(str(row[0]) for row in found)


class _RowPen:
    def __init__(self, url: URL, model: str, connection: Connection, lines: list[bytes]) -> None:
        self._url = url
        self._model = model
        self._connection = connection
        self.lines = lines

    def begin(self, former: list[bytes]) -> None:
        """Read the lines; if there are none, keep the ``former``."""
        import psycopg

        try:
            rows = self._connection.execute(_READ, [self._model]).fetchall()
            self.lines = [bytes(row[0]) for row in rows]
            if not rows and former:
                with self._connection.transaction(), self._connection.cursor() as cursor:
                    numbered = enumerate(former, start=1)
                    cursor.executemany(
                        _APPEND, [(self._model, number, line) for number, line in numbered]
                    )
                self.lines = former
        except psycopg.Error as error:
            raise self._not_written(error) from None

    def append(self, line: bytes) -> bool:
        import psycopg

        row = (self._model, len(self.lines) + 1, line)
        try:
            self._connection.execute(_APPEND, row)
        except psycopg.errors.UniqueViolation:
            return False
        except psycopg.OperationalError as error:
            if not self._is_there_after_all(row, error):
                raise self._not_written(error) from None
        except psycopg.Error as error:
            raise self._not_written(error) from None
        self.lines.append(line)
        return True

    def close(self) -> None:
        self._connection.close()

    def _is_there_after_all(self, row: tuple[str, int, bytes], lost: Exception) -> bool:
        """Return whether a row was committed before the connection was lost; get a new one."""
        import psycopg

        try:
            self._connection.close()
            self._connection = connect(self._url)
            found = self._connection.execute(_ONE, row[:2]).fetchone()
        except (psycopg.Error, WorkspaceError):
            reason = without_secrets(self._url, " ".join(str(lost).split()))
            raise UnreachableError(
                f"The connection to the ledger {_place(self._url)} was lost while a decision on "
                f"{self._model} was written: {reason}",
                f"Whether it stands is in `agiwb history {self._model}`, once the database is "
                "back; nothing was done about it yet.",
            ) from None
        return found is not None and bytes(found[0]) == row[2]

    def _not_written(self, error: Exception) -> WorkspaceError:
        problem = without_secrets(self._url, " ".join(str(error).split()))
        return not_written(_place(self._url), problem, "Nothing was changed.")


@contextlib.contextmanager
def _reading(url: URL) -> Iterator[Connection | None]:
    """Yield a connection, or None if nobody has decided anything in this database."""
    import psycopg

    with contextlib.closing(connect(url)) as connection:
        try:
            row = connection.execute(_IS_THERE).fetchone()
            yield connection if row is not None and row[0] else None
        except psycopg.OperationalError as error:
            raise unreachable(url, str(error)) from None
        except psycopg.Error as error:
            problem = without_secrets(url, " ".join(str(error).split()))
            raise WorkspaceError(
                f"The ledger {_place(url)} cannot be read: {problem}.",
                "May this user read the table?",
            ) from None


def _make_table(url: URL) -> None:
    import psycopg

    with _reading(url) as connection:
        if connection is not None:
            return
    # Two who make it at once would both fail.
    with exclusive(url, f"agiwb: the table {_TABLE}") as connection:
        try:
            row = connection.execute(_IS_THERE).fetchone()
            if row is None or not row[0]:
                connection.execute(_MAKE)
        except psycopg.Error as error:
            problem = without_secrets(url, " ".join(str(error).split()))
            raise not_written(_place(url), problem, "May this user make tables?") from None


def _place(url: URL) -> str:
    return f"{place(url)}, table {_TABLE}"
