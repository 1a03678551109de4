"""Who may ask a server that only this machine can reach, and that asks nobody who they are.

A browser on this machine reaches it, too, on behalf of any page: by a request of its own, which
names the page in ``Origin``, or by a name of the page's that is made to point at this machine (DNS
rebinding), which then stands in ``Host``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from urllib.parse import urlsplit

from agiwb.serving.address import is_loopback
from agiwb.serving.status import Code, Refusal


def check_own_machine(headers: Mapping[bytes, bytes]) -> None:
    """Raise unless ``Host`` and ``Origin``, if they are given, are names of this machine.

    It takes a microsecond; header names are in lower case.

    Raises:
        Refusal: PERMISSION_DENIED.
    """
    host, origin = headers.get(b"host"), headers.get(b"origin")
    if host is not None and not _is_own(b"//" + host):
        raise Refusal(
            Code.PERMISSION_DENIED,
            f"This server is not known as {host.decode('latin-1')!r}.",
            "Ask it as localhost or 127.0.0.1. Behind a proxy, serve with keys or tokens.",
        )
    if origin is not None and not _is_own(origin):
        raise Refusal(
            Code.PERMISSION_DENIED,
            f"Pages of {origin.decode('latin-1')!r} may not ask this server.",
            "Ask it without a browser, or serve with keys or tokens.",
        )


@functools.lru_cache(maxsize=64)
def _is_own(url: bytes) -> bool:
    try:
        return is_loopback(urlsplit(url.decode("ascii")).hostname or "")
    except ValueError:
        return False
