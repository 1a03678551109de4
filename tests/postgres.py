"""A PostgreSQL server of the tests' own: Debian's, on loopback, never run by root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

PASSWORD = "s3cret@of/the%database"  # noqa: S105  of a server that lives as long as its tests
SPELT = quote(PASSWORD, safe="")
"""As a URL spells it."""

USER = "agiwb"


class PostgresServer:
    """A server that can be stopped and started again, with the same data and port."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._become: list[str] = []
        if os.geteuid() == 0:  # it refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
            self._become = ["setpriv", *ids, "--clear-groups"]
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run("initdb", "-U", USER, "--no-sync", "--auth=scram-sha-256", f"--pwfile={password}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def url(self, database: str = "postgres", *, secret: str = PASSWORD) -> str:
        """Return the URL of a database, with the password in it."""
        return f"postgresql://{USER}:{quote(secret, safe='')}@127.0.0.1:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        """Return the URL of a new, empty database, whose name begins with the given one."""
        import psycopg

        name = f"{name}_{uuid.uuid4().hex}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def start(self) -> None:
        """Return once it takes connections."""
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = self._folder / "log"
        self._run("pg_ctl", "start", "-w", "-t", "60", "-l", str(log), "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        """End it; ``immediate`` is as if the power were cut."""
        self._run("pg_ctl", "stop", "-w", "-m", mode)

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [*self._become, self._programs / program, "-D", self._folder / "data", *words],
            check=True, cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Yield a server that runs; without PostgreSQL the test is skipped, and in CI it fails."""
    programs = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None)
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is missing: apt-get install postgresql")
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="agiwb-postgres-", dir="/tmp"))
    server = PostgresServer(programs, folder)
    try:
        server.start()
        yield server
    finally:
        with suppress(subprocess.CalledProcessError):  # a test stopped it
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
