"""What a client trusts: authorities, or one server's own certificate and nothing else."""

from __future__ import annotations

import ssl
from pathlib import Path

_END = "-----END CERTIFICATE-----"


def own_certificate(chain: str) -> str:
    """Return the first certificate of a PEM text, which is the server's; the rest is its chain."""
    first, end, _ = chain.partition(_END)
    return f"{first}{end}\n"


def trust_only(certificate: str) -> ssl.SSLContext:
    """Return a client's context that takes the server with this certificate (PEM), and no other.

    By which name or address the server is asked does not matter: nobody else has its key.

    Raises:
        ssl.SSLError: The text is no certificate.
    """
    context = ssl.create_default_context(cadata=own_certificate(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # whoever has signed it
    return context


def client_context(ca_file: str, certificate_file: str) -> ssl.SSLContext:
    """Return a client's context; "" for the system's authorities, and for no certificate."""
    if certificate_file:
        return trust_only(Path(certificate_file).read_text())
    return ssl.create_default_context(cafile=ca_file or None)
