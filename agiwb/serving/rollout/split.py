"""Which version answers a request: the champion, or for a share of clients the challenger."""

from __future__ import annotations

import time
from collections.abc import Collection
from hashlib import blake2b
from typing import Literal, NamedTuple

from agiwb.serving.rollout.state import RolloutState

_HASH_BYTES = 8
_HASHES = 1 << (8 * _HASH_BYTES)
_SALT_BYTES = 16


class Choice(NamedTuple):
    """The version to ask; None for the highest that is available."""

    version: int | None
    variant: Literal["champion", "challenger"]


LATEST = Choice(None, "champion")


class Split:
    """How the clients of one model are divided. Immutable, so any thread may ask.

    A client's key is hashed to a number that is uniform in 0..1 and the same in every process; the
    challenger answers where it is below the share. A larger share therefore adds clients and moves
    none back. The challenger's version is part of the hash: it is not the same clients who try
    every new version first.
    """

    __slots__ = ("_below", "_challenger", "_champion", "_salt")

    def __init__(
        self, model: str, champion: int | None, challenger: int | None = None, share: float = 0.0
    ) -> None:
        self._champion = Choice(champion, "champion")
        self._challenger = Choice(challenger, "challenger")
        self._below = 0 if challenger is None else round(share * _HASHES)
        name = f"{model}/{challenger}".encode()
        self._salt = blake2b(name, digest_size=_SALT_BYTES).digest()

    def choose(self, key: str) -> Choice:
        """Return who answers the client with this key."""
        if not self._below:
            return self._champion
        digest = blake2b(
            key.encode(errors="surrogatepass"), digest_size=_HASH_BYTES, salt=self._salt
        ).digest()
        return self._challenger if int.from_bytes(digest, "big") < self._below else self._champion


class Upcoming:
    """A split that takes another's place at a moment which all servers of a fleet know.

    Immutable but for the clock, so any thread may ask.
    """

    __slots__ = ("_after", "_at", "_before")

    def __init__(self, before: Split, after: Split, at: float) -> None:
        """Have ``after`` choose from the Unix time ``at`` on."""
        self._before, self._after, self._at = before, after, at

    def choose(self, key: str) -> Choice:
        """Return who answers the client with this key at this moment."""
        return (self._after if time.time() >= self._at else self._before).choose(key)


def split_of(model: str, state: RolloutState, available: Collection[int]) -> Split | Upcoming:
    """Return who answers by ``state``, as far as its versions are ``available``."""
    after = _split(model, state, available)
    if state.last_change is None or state.in_force_at <= time.time():
        return after
    former = RolloutState.model_validate(state.last_change.before)
    return Upcoming(_split(model, former, available), after, state.in_force_at)


def _split(model: str, state: RolloutState, available: Collection[int]) -> Split:
    champion = state.champion if state.champion in available else None
    canary = state.canary
    if canary is None or canary.version not in available:
        return Split(model, champion)
    return Split(model, champion, canary.version, canary.share)
