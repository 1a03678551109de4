"""Where the history is, and how that is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from agiwb.errors import ConfigError, UnreachableError
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


def test_a_server_that_is_away_is_told_of() -> None:
    assert not look_for(tracking_address(None, Path("/w")))
    for uri in ("http://me:s3cret@127.0.0.1:1", "postgresql://me:s3cret@127.0.0.1:1/db"):
        with pytest.raises(UnreachableError, match="cannot be reached") as caught:
            look_for(tracking_address(SecretStr(uri), Path("/w")))
        assert "s3cret" not in str(caught.value)
