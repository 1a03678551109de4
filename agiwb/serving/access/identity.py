"""Who a request is from, and what that allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["predict", "admin", "metrics"]
"""predict: ask models. admin: change what is served. metrics: read the counters."""

SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller that is known.

    Attributes:
        name: What logs and rate limits call it: ``key:ci``, ``token:alice``,
            ``certificate:CN=edge``, or ``anyone``.
        scopes: What it may do.
        rate: Requests a second it may make; None for any number.
    """

    name: str
    scopes: frozenset[str]
    rate: float | None = None

    @property
    def sticky_key(self) -> str:
        """What tells this client from others during a canary; "" where nothing does.

        An address would not: everybody behind one proxy has the same.
        """
        return "" if self is ANYONE or self is OPERATOR else self.name


OPERATOR = Identity("operator", frozenset(SCOPES))
"""Who started the server from Python, and asks it on behalf of anybody."""

ANYONE = Identity("anyone", frozenset(SCOPES))
"""Everybody, where nobody has to say who they are."""
