"""Whom a client certificate names, told alike for HTTP and gRPC."""

from __future__ import annotations

_PEM_MARK = b"-----BEGIN"


def subject_of(certificate: bytes) -> str:
    """Return the subject of a certificate (PEM or DER) as RFC 4514 writes it: ``CN=ann,O=lab``.

    Special characters in a name come escaped, so that no name can pass for a longer subject.

    Raises:
        ValueError: It is no certificate; a TLS library never hands out such.
    """
    from cryptography import x509

    is_pem = certificate.lstrip().startswith(_PEM_MARK)
    load = x509.load_pem_x509_certificate if is_pem else x509.load_der_x509_certificate
    return load(certificate).subject.rfc4514_string()
