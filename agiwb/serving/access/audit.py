"""One line for each attempt to administer the server, whatever the protocol."""

from __future__ import annotations

import json
import logging

_log = logging.getLogger("agiwb.audit")

_LONGEST_BODY = 1000
"""Characters of a request that are kept."""


def enable_audit() -> None:
    """Have the lines written, however quiet the server is."""
    _log.setLevel(logging.INFO)


def write_audit_line(
    *, who: str, peer: str, method: str, path: str, body: str, status: int, error: str
) -> None:
    """Log a JSON object with these fields, with the logger ``agiwb.audit``. Thread-safe.

    Args:
        who: Who asked, by the name that the gate gave them.
        peer: Their address.
        method: HTTP's, or ``gRPC``.
        path: What was asked for; of gRPC ``/service/method``.
        body: What it was told; its beginning is kept.
        status: The HTTP status, or the one that gRPC's code stands for.
        error: Why it was refused; "" if it was not.
    """
    line = {
        "who": who,
        "peer": peer,
        "method": method,
        "path": path,
        "body": body[:_LONGEST_BODY],
        "status": status,
        "error": error,
    }
    _log.info(json.dumps(line))
