"""Where gRPC is answered if its usual port is taken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from agiwb.errors import InputError, ServingError
from agiwb.serving.settings import ServerSettings

_Taken = TypeVar("_Taken")


def take_grpc_port(settings: ServerSettings, port: int, take: Callable[[int], _Taken]) -> _Taken:
    """Return what ``take`` returns for ``port``, or for a free one in its place.

    Args:
        settings: Tell whether the port was asked for by name; then no other will do.
        port: The settings' port for gRPC.
        take: Takes a port, 0 for a free one; raises InputError or ServingError if it cannot.

    Raises:
        InputError: From ``take``.
        ServingError: Likewise.
    """
    try:
        return take(port)
    except (InputError, ServingError):
        if settings.port is not None or port == 0:
            raise
    taken = take(0)
    logging.getLogger("agiwb").warning(
        "Port %d is in use: gRPC is answered on a free one, which the line on stdout names.", port
    )
    return taken
