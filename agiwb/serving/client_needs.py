"""What a client needs to ask a server, as the server's settings say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agiwb.serving.access.pinning import own_certificate
from agiwb.serving.settings import ListenSettings


@dataclass(frozen=True)
class ClientNeeds:
    """What clients must trust and show.

    Attributes:
        server_certificate: PEM of the server's own certificate; "" for a server in the clear.
        own_certificate: Whether clients must have certificates of their own.
        credential: The header that says who asks, with a placeholder; "" if nobody has to say.
    """

    server_certificate: str = ""
    own_certificate: bool = False
    credential: str = ""

    def curl_options(self, certificate_file: Path | None) -> list[str]:
        """Return curl's options; the server's certificate is in ``certificate_file``."""
        options = ["--cacert", str(certificate_file)] if self.server_certificate else []
        if self.own_certificate:
            options += ["--cert", "CLIENT.crt", "--key", "CLIENT.key"]
        return [*options, "-H", self.credential] if self.credential else options


def needs_of_clients(settings: ListenSettings) -> ClientNeeds:
    """Return what the clients of a server with these settings need.

    Raises:
        ConfigError: The TLS configuration is not one.
    """
    credential = "X-API-Key: KEY" if settings.api_keys_file is not None else ""
    if not credential and settings.jwt_file is not None:
        credential = "Authorization: Bearer TOKEN"
    if settings.ssl_config_file is None:
        return ClientNeeds(credential=credential)
    from agiwb.serving.access.tls import read_ssl_config

    tls = read_ssl_config(settings.ssl_config_file)
    return ClientNeeds(own_certificate(tls.server_cert.decode()), tls.client_verify, credential)
