"""JSON Web Tokens (RFC 7519) of an identity provider: verified, and turned into identities."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.errors import ConfigError, InputError, did_you_mean
from agiwb.serving.access.identity import SCOPES, Identity

if TYPE_CHECKING:
    from jwt import PyJWK

_KEY_TYPES = {
    "RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA",
    "PS512": "RSA", "ES256": "EC", "ES384": "EC", "ES512": "EC", "EdDSA": "OKP",
}  # fmt: skip
"""The algorithms there are and the ``kty`` of their keys: only ones with a public key.

With ``HS*`` among them, anybody could sign with the public key as if it were a shared secret
(algorithm confusion); ``none`` is not signed at all.
"""
_LONGEST = 16_384
_LOOK_AGAIN_S = 0.1
_MOST_REMEMBERED = 4096


@dataclass(frozen=True)
class TokenRules:
    """What a token must be to be believed.

    Attributes:
        issuer: Its ``iss``.
        audience: One of its ``aud``.
        key_file: The issuer's public keys: PEM (one key) or JWKS (found by ``kid``). Read again
            within a tenth of a second of a change, as when keys are rotated.
        algorithms: Those that count, whatever the token's header says.
        leeway_s: Seconds that clocks may differ.
    """

    issuer: str
    audience: str
    key_file: Path
    algorithms: tuple[str, ...] = ("RS256",)
    leeway_s: float = 10.0


class TokenVerifier:
    """Verifies tokens; one that was verified is remembered until it ends. Thread-safe."""

    def __init__(self, rules: TokenRules) -> None:
        """Read the keys.

        Raises:
            ConfigError: An algorithm is not one with a public key.
            InputError: The key file cannot be read, or has no key for the algorithms.
        """
        if not rules.issuer or not rules.audience or not rules.algorithms:
            raise ConfigError("Tokens need an issuer, an audience and an algorithm.")
        for algorithm in rules.algorithms:
            if algorithm not in _KEY_TYPES:
                hint = did_you_mean(algorithm, _KEY_TYPES)
                raise ConfigError(f"Tokens cannot be signed with {algorithm!r} here.", hint)
        self._rules = rules
        self._lock = threading.Lock()
        self._verified: dict[bytes, tuple[float, Identity]] = {}
        self._read_of: tuple[int, int] | None = None
        self._looked_at = -math.inf
        self._keys: dict[str, PyJWK] = {}
        self._refresh()

    def remembered(self, token: str) -> Identity | None:
        """Return whose token this is if it was verified before; costs a few microseconds.

        Raises:
            InputError: The key file changed and cannot be read any more.
        """
        if len(token) > _LONGEST:
            return None
        self._refresh()
        expires, identity = self._verified.get(_digest(token), (0.0, None))
        return identity if time.time() < expires else None

    def verify(self, token: str) -> Identity | None:
        """Return whose token this is; None if it is not to be believed.

        Raises:
            InputError: The key file changed and cannot be read any more.
        """
        import jwt

        if len(token) > _LONGEST:
            return None
        self._refresh()
        rules, keys = self._rules, self._keys
        try:
            key = _choose(keys, jwt.get_unverified_header(token).get("kid"))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=_fitting(rules.algorithms, key),
                issuer=rules.issuer,
                audience=rules.audience,
                leeway=rules.leeway_s,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        identity = _identity_of(claims)
        with self._lock:
            if keys is self._keys:  # else it was verified with a key that may be gone
                while len(self._verified) >= _MOST_REMEMBERED:
                    del self._verified[next(iter(self._verified))]
                self._verified[_digest(token)] = (claims["exp"] + rules.leeway_s, identity)
        return identity

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < _LOOK_AGAIN_S:
            return
        path = self._rules.key_file
        try:
            status = path.stat()
            state = (status.st_mtime_ns, status.st_ino)
            if state == self._read_of:
                self._looked_at = now
                return
            content = path.read_bytes()
        except OSError as error:
            self._forget()
            raise InputError(
                f"The key file {path} cannot be read: {error.strerror}.",
                "Put the issuer's public key (PEM) or its JWKS there.",
            ) from None
        self._forget()
        keys = _read_keys(path, content)
        if not any(_fitting(self._rules.algorithms, key) for key in keys.values()):
            raise InputError(
                f"The key file {path} has no key for {', '.join(self._rules.algorithms)}.",
                "Check the algorithms, and that the key is the issuer's.",
            )
        with self._lock:
            self._keys, self._read_of, self._looked_at = keys, state, now

    def _forget(self) -> None:
        with self._lock:
            self._verified, self._keys, self._read_of = {}, {}, None


def _read_keys(path: Path, content: bytes) -> dict[str, PyJWK]:
    """Return the public keys of a PEM or JWKS file by their ``kid``; a PEM's is ""."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from jwt import PyJWK, PyJWTError

    try:
        if content.lstrip().startswith(b"{"):
            entries: list[dict[str, Any]] = json.loads(content)["keys"]
            public = [entry for entry in entries if _is_for_signatures(entry)]
            return {str(entry.get("kid", "")): PyJWK.from_dict(entry) for entry in public}
        return {"": PyJWK.from_dict(_jwk_of(content))}
    except (PyJWTError, ValueError, KeyError, TypeError, UnsupportedAlgorithm):
        raise InputError(
            f"The key file {path} is neither a public key in PEM nor a JWKS.",
            "A PEM begins with `-----BEGIN PUBLIC KEY-----`.",
        ) from None


def _is_for_signatures(entry: Mapping[str, Any]) -> bool:
    return entry.get("kty") in set(_KEY_TYPES.values()) and entry.get("use", "sig") == "sig"


def _jwk_of(pem: bytes) -> dict[str, Any]:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

    key = load_pem_public_key(pem)
    if isinstance(key, RSAPublicKey):
        return RSAAlgorithm.to_jwk(key, as_dict=True)
    if isinstance(key, EllipticCurvePublicKey):
        return ECAlgorithm.to_jwk(key, as_dict=True)
    if isinstance(key, Ed25519PublicKey):
        return OKPAlgorithm.to_jwk(key, as_dict=True)
    message = f"a {type(key).__name__} verifies none of the algorithms"
    raise ValueError(message)


def _choose(keys: Mapping[str, PyJWK], key_id: object) -> PyJWK | None:
    """Return the key a token names; where there is one key without a name, that one."""
    if len(keys) == 1 and "" in keys:
        return keys[""]
    return keys.get(key_id) if isinstance(key_id, str) else None


def _fitting(algorithms: tuple[str, ...], key: PyJWK) -> list[str]:
    return [name for name in algorithms if _KEY_TYPES[name] == key.key_type]


def _identity_of(claims: Mapping[str, Any]) -> Identity:
    granted = claims.get("scope", "")
    words = granted.split() if isinstance(granted, str) else granted
    scopes = frozenset(words if isinstance(words, list) else ()) & frozenset(SCOPES)
    name = claims.get("sub") or claims.get("client_id") or "unnamed"
    return Identity(f"token:{name}", scopes)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
