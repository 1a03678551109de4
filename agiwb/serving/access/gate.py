"""The gate that every request passes, whatever its protocol."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping

from agiwb.errors import AgiwbError, InputError
from agiwb.serving.access.identity import ANYONE, OPERATOR, Identity, Scope
from agiwb.serving.access.keys import PREFIX, KeyRing
from agiwb.serving.access.rate import RateLimiter
from agiwb.serving.access.tokens import TokenVerifier
from agiwb.serving.address import is_loopback
from agiwb.serving.status import Code, Refusal

_log = logging.getLogger(__name__)

_FAILURES_A_SECOND = 1.0
_FAILURES_AT_ONCE = 20.0
ANY_CERTIFICATE = "*"
"""Stands for every verified client certificate that has no scopes of its own."""


class Gate:
    """Tells who asks, and refuses who may not. Thread-safe; a check takes a few microseconds."""

    def __init__(
        self,
        *,
        keys: KeyRing | None = None,
        tokens: TokenVerifier | None = None,
        certificates: Mapping[str, frozenset[Scope]] | None = None,
        limiter: RateLimiter | None = None,
        operator_key: str = "",
    ) -> None:
        """Let in who has one of these.

        Args:
            keys: API keys.
            tokens: JSON Web Tokens.
            certificates: Scopes by the subject of a verified client certificate, or by
                ``ANY_CERTIFICATE``. Without this a certificate opens the connection only.
            limiter: Counts requests and failed attempts.
            operator_key: Lets who started the server do everything. Where there is one, nobody
                else administers without saying who they are.
        """
        self._keys = keys
        self._tokens = tokens
        self._certificates = {
            subject: Identity(f"certificate:{subject}", frozenset(scopes))
            for subject, scopes in (certificates or {}).items()
        }
        self._requests = limiter or RateLimiter()
        self._failures = limiter or RateLimiter()
        self._operator_key = operator_key.encode()
        self.is_open = keys is None and tokens is None and not certificates

    @classmethod
    def open(cls) -> Gate:
        """Return a gate that lets everyone do everything: for servers on loopback."""
        return cls()

    def check(
        self,
        scope: Scope,
        *,
        api_key: str | None,
        bearer: str | None,
        certificate: str = "",
        peer: str = "",
    ) -> Identity:
        """Return who asks.

        Args:
            scope: What is asked for.
            api_key: ``X-API-Key``, as sent.
            bearer: What follows ``Bearer`` in ``Authorization``: a token, or an API key, for
                clients such as Prometheus that can send nothing else.
            certificate: The subject of the client's certificate, if TLS verified one.
            peer: The client's address; failed attempts are counted by it.

        Raises:
            Refusal: UNAUTHENTICATED, nobody known asks; PERMISSION_DENIED, not for this scope;
                RESOURCE_EXHAUSTED, too many requests, or too many failed attempts.
        """
        if api_key and self._operator_key:
            sent = api_key.encode("utf-8", "surrogatepass")
            if hmac.compare_digest(sent, self._operator_key):
                return OPERATOR
        if self.is_open:
            if scope == "admin" and self._operator_key:
                raise Refusal(
                    Code.UNAUTHENTICATED,
                    "The request does not say that it is from the server's operator.",
                    "Use the endpoint in Python that started the server, or a server with keys.",
                )
            return ANYONE
        identity = self._identify(api_key, bearer, certificate, peer)
        if identity is None:
            raise self._fail(peer, is_missing=not (api_key or bearer))
        if scope not in identity.scopes:
            raise Refusal(
                Code.PERMISSION_DENIED,
                f"{identity.name} does not have the scope `{scope}`.",
                "Use a key or a token that has it.",
            )
        if identity.rate is not None:
            self._check_rate(identity, identity.rate)
        return identity

    def _identify(
        self, api_key: str | None, bearer: str | None, certificate: str, peer: str
    ) -> Identity | None:
        if bearer and bearer.startswith(PREFIX):
            api_key, bearer = api_key or bearer, None
        if api_key:
            return self._keys.find(api_key) if self._keys else None
        if bearer:
            return self._verify(self._tokens, bearer, peer) if self._tokens else None
        if certificate and self._certificates:
            known = self._certificates.get(certificate)
            anyone = self._certificates.get(ANY_CERTIFICATE)
            if known is None and anyone is not None:
                known = Identity(f"certificate:{certificate}", anyone.scopes)
            return known
        return None

    def _verify(self, tokens: TokenVerifier, token: str, peer: str) -> Identity | None:
        """Verify a token, which costs as much as a small prediction: not for who failed a lot."""
        try:
            if identity := tokens.remembered(token):
                return identity
            wait_s = self._failures.wait_s(f"failed:{peer}", _FAILURES_A_SECOND, _FAILURES_AT_ONCE)
            return None if wait_s else tokens.verify(token)
        except AgiwbError:  # the keys are unreadable: nobody's token can be believed
            _log.exception("No token is accepted.")
            return None

    def _fail(self, peer: str, *, is_missing: bool) -> Refusal:
        wait_s = self._failures.take(f"failed:{peer}", _FAILURES_A_SECOND, _FAILURES_AT_ONCE)
        if wait_s:
            return Refusal(
                Code.RESOURCE_EXHAUSTED,
                "There were too many failed attempts from this address.",
                "Check the key or token.",
                retry_after_s=wait_s,
            )
        if is_missing:
            return Refusal(
                Code.UNAUTHENTICATED,
                "The request does not say who asks.",
                "Send `X-API-Key: KEY` or `Authorization: Bearer TOKEN`.",
            )
        return Refusal(
            Code.UNAUTHENTICATED,
            "The API key or token is not valid.",
            "It may have expired or been revoked: ask for a new one.",
        )

    def _check_rate(self, identity: Identity, rate: float) -> None:
        wait_s = self._requests.take(identity.name, rate, max(1.0, rate))
        if wait_s:
            raise Refusal(
                Code.RESOURCE_EXHAUSTED,
                f"{identity.name} may make {rate:g} requests a second.",
                "Wait, or ask for a higher rate.",
                retry_after_s=wait_s,
            )


def bearer_of(authorization: str) -> str | None:
    """Return the token of an ``Authorization`` header or metadata; None if it holds no Bearer."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def require_safe_bind(host: str, gate: Gate, *, insecure: bool = False) -> None:
    """Refuse to be reached from other machines by anybody.

    Raises:
        InputError: ``host`` is not loopback, the gate lets everyone in, and nobody said
            ``insecure``.
    """
    if insecure or not gate.is_open or is_loopback(host):
        return
    raise InputError(
        f"The host {host} can be reached from other machines, and nobody has to say who they are.",
        "Make a key with `agiwb keys add`, serve on 127.0.0.1, or say `--insecure`.",
    )
