"""Where the history is kept, and how that is shown: a URI may hold a password."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from agiwb.errors import ConfigError, UnreachableError
from agiwb.runs.database_url import parsed_url, without_secrets
from agiwb.runs.postgres import connect, patient, place
from agiwb.runs.silence import ASKED_AGAIN, Silence
from agiwb.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_VARIABLE = "AGIWB_TRACKING_URI"
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class TrackingAddress:
    """The address of an MLflow history.

    Attributes:
        uri: For MLflow alone; never shown.
        shown: The same as it may be shown.
        kind: A file or folder of this machine, a PostgreSQL database, or another server.
        database: The URL of a PostgreSQL database; None for the others.
    """

    uri: str = field(repr=False)
    shown: str
    kind: Literal["file", "database", "server"]
    database: URL | None = field(default=None, repr=False)

    @property
    def may_be_away(self) -> bool:
        """Whether it is reached over a connection."""
        return self.kind != "file"

    def without_secrets(self, text: str) -> str:
        """Return ``text`` with neither the URI nor its password in it."""
        text = text.replace(self.uri, self.shown)
        if self.database is not None:
            return without_secrets(self.database, text)
        user = urlsplit(self.uri).netloc.rpartition("@")[0]
        for secret in filter(None, (f"{user}@" if user else "", user.partition(":")[2])):
            text = text.replace(secret, "")
        return text


def tracking_address(secret: SecretStr | None, workspace: Path) -> TrackingAddress:
    """Return the address that a URI gives; by default SQLite inside the workspace.

    Raises:
        ConfigError: It names a PostgreSQL database, and is not the URL of one.
    """
    given = secret.get_secret_value().strip() if secret is not None else ""
    uri = given or f"sqlite:///{workspace / 'mlflow.db'}"
    scheme = uri.partition(":")[0].lower()
    if scheme.startswith("postgres"):
        try:
            url = patient(parsed_url(uri))
        except ValueError as error:
            raise ConfigError(f"`{_VARIABLE}`: {error}") from None
        full = url.render_as_string(hide_password=False)
        return TrackingAddress(full, place(url), "database", url)
    is_here = "://" not in uri or scheme in {"file", "sqlite"}
    kind: Literal["file", "server"] = "file" if is_here else "server"
    return TrackingAddress(uri, _without_user(uri) if kind == "server" else uri, kind)


def look_for(address: TrackingAddress, *, anew: bool = False) -> bool:
    """Return whether the history answered; False if it is a file, which nobody has to answer for.

    A server that said nothing is left alone for a minute, by all processes of the workspace.

    Args:
        address: Of the history.
        anew: Ask the server even then.

    Raises:
        UnreachableError: It did not answer within seconds.
        WorkspaceError: It refuses.
    """
    if address.database is not None:
        connect(address.database, anew=anew).close()
        return True
    if not address.uri.startswith("http"):
        return False
    silence = Silence(Settings().workspace_path, address.shown)
    if not anew and (age_s := silence.age_s()) is not None:
        raise _unreachable(address, f"it did not answer {age_s:.0f} s ago", ASKED_AGAIN)
    try:
        _speak_with(address.shown)
    except TimeoutError:
        silence.note()
        problem = f"it did not answer within {_TIMEOUT_S:.0f} s"
        raise _unreachable(address, problem, ASKED_AGAIN) from None
    except OSError as error:
        raise _unreachable(address, str(error)) from None
    silence.forget()
    return True


def _speak_with(server: str) -> None:
    """Return once the server has said something, whatever that is; else raise an OSError."""
    import ssl
    import urllib.error
    import urllib.request

    request = urllib.request.Request(f"{server.rstrip('/')}/health")  # noqa: S310  http
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310
            return
    except urllib.error.HTTPError:  # it may ask who we are
        return
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):  # MLflow may know its certificate
            return
        raise error.reason if isinstance(error.reason, OSError) else error from None


def _unreachable(address: TrackingAddress, problem: str, more: str = "") -> UnreachableError:
    return UnreachableError(
        f"The run history {address.shown} cannot be reached: {problem}.",
        f"Is it running, and does the network lead there?{more}",
    )


def _without_user(uri: str) -> str:
    """Return a URI without the user and the password before its host, and without its query."""
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
