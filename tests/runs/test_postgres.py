"""Connections to a real PostgreSQL that is full for a moment, and locks that end with them."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import psycopg
import pytest

from agiwb.errors import UnreachableError, WorkspaceError
from agiwb.runs.database_url import parsed_url, without_secrets
from agiwb.runs.postgres import connect, exclusive, patient, place
from agiwb.runs.silence import REMEMBERED_S, Silence
from tests.postgres import PASSWORD, SPELT, PostgresServer

ROLE = "narrow"
"""A user who may have one connection; it is its own password."""


def test_a_server_that_is_full_is_asked_again(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url(), autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}' CONNECTION LIMIT 1")
    url = parsed_url(postgres.url(secret=ROLE).replace("agiwb:", f"{ROLE}:"))
    first = connect(url)
    threading.Timer(0.5, first.close).start()
    connect(url).close()
    assert first.closed


def test_a_lock_keeps_others_out_until_its_connection_ends(postgres: PostgresServer) -> None:
    url = parsed_url(postgres.url())
    order: list[str] = []

    def wait() -> None:
        with exclusive(url, "mine"):
            order.append("second")

    with exclusive(url, "mine") as connection, exclusive(url, "another"):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.3)
        order.append("first")
        connection.close()  # as if its process had been killed
        thread.join()
    assert order == ["first", "second"]
    with exclusive(url, "ours", shared=True), exclusive(url, "ours", shared=True):
        pass


def test_a_server_that_says_nothing_is_waited_for_by_one_and_not_by_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent.setblocking(False)
        port = silent.getsockname()[1]
        address = f"postgresql://me:{SPELT}@127.0.0.1:{port}/db"
        assert patient(parsed_url(address)).query["connect_timeout"] == "5"
        url = parsed_url(f"{address}?connect_timeout=1")
        with pytest.raises(UnreachableError, match=r"timeout expired.*`agiwb doctor`") as caught:
            connect(url)
        silent.accept()[0].close()
        assert PASSWORD not in str(caught.value)
        with pytest.raises(UnreachableError, match=r"not answer \d+ s ago.*asked again after 60 s"):
            connect(url)
        with pytest.raises(BlockingIOError):  # nobody was asked
            silent.accept()
        for file in tmp_path.glob(".silent/*"):
            os.utime(file, (time.time() - REMEMBERED_S,) * 2)
        with pytest.raises(UnreachableError, match="timeout expired"):
            connect(url)
        silent.accept()[0].close()
        with pytest.raises(UnreachableError, match="timeout expired"):
            connect(url, anew=True)
        silent.accept()[0].close()


def test_a_server_that_speaks_again_is_not_taken_for_silent(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path))
    url = parsed_url(postgres.url())
    Silence(tmp_path, place(url)).note()
    with pytest.raises(UnreachableError, match="did not answer"):
        connect(url)
    connect(url, anew=True).close()
    connect(url).close()


def test_no_message_has_a_password_in_it(postgres: PostgresServer) -> None:
    url = parsed_url(postgres.url("nowhere"))
    assert place(url) == f"postgresql://agiwb:***@127.0.0.1:{postgres.port}/nowhere"
    assert without_secrets(url, f"{PASSWORD} {SPELT}") == "*** ***"
    with pytest.raises(WorkspaceError, match=r"refuses: .*does not exist") as refused:
        connect(url)
    assert not isinstance(refused.value, UnreachableError)
    with pytest.raises(UnreachableError, match="Connection refused") as away:
        connect(url.set(port=1))
    for error in (refused.value, away.value):
        assert PASSWORD not in str(error)
        assert SPELT not in str(error)
