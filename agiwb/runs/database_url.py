"""URLs of databases: which are taken, and how they are shown without their secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_SECRETS = ("password", "sslpassword")


def parsed_url(text: str) -> URL:
    """Return the URL of an SQLite file or a PostgreSQL database, with the driver that is installed.

    Raises:
        ValueError: It is none. The message does not repeat it.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    advice = "Write postgresql://USER@HOST:5432/DATABASE, or sqlite:////absolute/path.db."
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        raise ValueError(f"it is not the URL of a database. {advice}") from None
    if url.drivername not in _DRIVERS:
        raise ValueError(f"nothing can be kept in {url.drivername}. {advice}")
    url = url.set(drivername=_DRIVERS[url.drivername])
    if url.drivername == "sqlite" and not Path(url.database or "").is_absolute():
        raise ValueError(f"the path of an SQLite file must be absolute. {advice}")
    return url


def shown(url: URL) -> str:
    """Return ``url`` as it may be shown."""
    query = {name: value for name, value in url.query.items() if name not in _SECRETS}
    return url.set(query=query).render_as_string(hide_password=True)


def secrets_of(url: URL) -> list[str]:
    """Return all that must not be shown of ``url``, as it is and as a URL spells it."""
    given = (url.password, *(url.query.get(name) for name in _SECRETS))
    plain = [word for word in given if isinstance(word, str) and word]
    spelt = {spell(word) for word in plain for spell in (str, quote, quote_plus)}
    return sorted(spelt, key=len, reverse=True)


def without_secrets(url: URL, text: str) -> str:
    """Return ``text`` with the secrets of ``url`` replaced."""
    for secret in secrets_of(url):
        text = text.replace(secret, "***")
    return text
