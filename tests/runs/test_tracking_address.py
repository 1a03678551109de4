"""Where the history is, and how that is shown."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from agiwb.errors import ConfigError, UnreachableError
from agiwb.runs import tracking_address as addresses
from agiwb.runs.tracking_address import look_for, tracking_address
from agiwb.settings import Settings


@pytest.mark.parametrize(
    ("uri", "kind", "shown"),
    [
        ("", "file", "sqlite:////w/mlflow.db"),
        ("sqlite:////else/x.db", "file", "sqlite:////else/x.db"),
        ("postgres://me:s3cret@h:1/db", "database", "postgresql://me:***@h:1/db"),
        ("postgresql://me@h/db?password=s3cret", "database", "postgresql://me@h/db"),
        ("https://me:s3cret@h:5000", "server", "https://h:5000"),
        ("mysql://me:s3cret@h/db?ssl_key=s3cret", "server", "mysql://h/db"),
    ],
)
def test_an_address_is_shown_without_its_password(uri: str, kind: str, shown: str) -> None:
    address = tracking_address(SecretStr(uri), Path("/w"))
    assert (address.kind, address.shown) == (kind, shown)
    assert "s3cret" not in repr(address)
    assert "s3cret" not in address.without_secrets(f"{uri} says: {uri}/api")


def test_what_is_no_address_is_named_without_it() -> None:
    with pytest.raises(ConfigError, match="`AGIWB_TRACKING_URI`: it is not the URL") as caught:
        tracking_address(SecretStr("postgresql:s3cret"), Path("/w"))
    assert "s3cret" not in str(caught.value)


def test_the_settings_do_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGIWB_TRACKING_URI", "postgresql://me:s3cret@h/db")
    assert "s3cret" not in repr(Settings())


def test_a_server_that_is_away_is_told_of(workspace: Path) -> None:
    assert not look_for(tracking_address(None, Path("/w")))
    for uri in ("http://me:s3cret@127.0.0.1:1", "postgresql://me:s3cret@127.0.0.1:1/db"):
        with pytest.raises(UnreachableError, match="cannot be reached") as caught:
            look_for(tracking_address(SecretStr(uri), Path("/w")))
        assert "s3cret" not in str(caught.value)


def test_a_server_that_says_nothing_is_left_alone_for_a_while(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        address = tracking_address(
            SecretStr(f"http://127.0.0.1:{silent.getsockname()[1]}"), workspace
        )
        with pytest.raises(UnreachableError, match="did not answer within"):
            look_for(address)
        silent.accept()[0].close()
        with pytest.raises(UnreachableError, match=r"not answer \d+ s ago.*asked again after 60 s"):
            look_for(address)
        with pytest.raises(BlockingIOError):  # nobody was asked
            silent.accept()
        with pytest.raises(UnreachableError, match="did not answer within"):
            look_for(address, anew=True)


def test_a_server_whose_certificate_is_unknown_here_answers(workspace: Path) -> None:
    trusted = trustme.CA().issue_cert("127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trusted.configure_cert(context)
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    assert look_for(
        tracking_address(SecretStr(f"https://127.0.0.1:{server.server_port}"), workspace)
    )
    thread.join()
    server.server_close()
