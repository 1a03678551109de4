"""What happens around every gRPC call: who asks, until when, what is told when it fails.

The bytes of a request are parsed only after the caller is let in, so that a stranger costs little,
and so that bytes which are no message are the client's error rather than an internal one.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import grpc

from agiwb.errors import AgiwbError
from agiwb.serving.access.certificates import subject_of
from agiwb.serving.access.gate import Gate, bearer_of
from agiwb.serving.access.identity import Identity, Scope
from agiwb.serving.exchange import Caller, Protocol
from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.protobuf.messages import message_class, parse_message
from agiwb.serving.status import Code, Refusal, code_of, words_of

REQUEST_ID = "x-request-id"
"""Metadata: given by the client or made up here, and sent back when the call ends."""
STICKY_KEY = "x-sticky-key"
"""Metadata: what keeps a client on one version during a canary."""
_PUSHBACK = "grpc-retry-pushback-ms"
"""Metadata: gRPC's name for how long to wait before a call is tried again."""

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_NEVER_S = 366 * 24 * 3600.0
"""For a call without a deadline gRPC tells centuries, which locks cannot wait."""
_STATUS = {status.value[0]: status for status in grpc.StatusCode}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Method:
    """A method of a service: the class of its request, its answer, and who may call it.

    Attributes:
        request: Name of the message, as ``message_class`` takes it.
        answer: Returns the response; raises what it refuses.
        scope: What the caller must be allowed; None for everyone, without a key.
        protocol: What its calls are counted under.
    """

    request: str
    answer: Callable[[Any, Caller], Any]
    scope: Scope | None = "predict"
    protocol: Protocol = "tfs_grpc"


class Frame:
    """Makes handlers of methods.

    Thread safety: handlers run on the server's threads, several at a time.
    """

    def __init__(self, gate: Gate, metrics: Metrics) -> None:
        self._gate = gate
        self._metrics = metrics

    def service(
        self, name: str, methods: Mapping[str, Method]
    ) -> grpc.GenericRpcHandler[bytes, bytes]:
        """Return the handler of a service by its full ``name``."""
        handlers = {key: self._handler(method) for key, method in methods.items()}
        return grpc.method_handlers_generic_handler(name, handlers)

    def _handler(self, method: Method) -> grpc.RpcMethodHandler[bytes, bytes]:
        message_class(method.request)  # built now, not during the first call

        def answer(data: bytes, context: grpc.ServicerContext) -> bytes:
            metadata = {key: str(value) for key, value in context.invocation_metadata()}
            request_id = _request_id(metadata)
            trailing: tuple[tuple[str, str], ...] = ((REQUEST_ID, request_id),)
            try:
                answered = self._answer(method, data, request_id, metadata, context)
            except Exception as error:  # noqa: BLE001  whatever it is, the client is told
                self._metrics.refused_for(error)
                if isinstance(error, Refusal) and error.retry_after_s is not None:
                    trailing += ((_PUSHBACK, str(round(error.retry_after_s * 1000))),)
                answered, code, words = b"", code_of(error), _words(error, request_id)
            else:
                code, words = Code.OK, ""
            context.set_trailing_metadata(trailing)
            if code is not Code.OK:
                context.abort(_STATUS[code], words)
            return answered

        return grpc.unary_unary_rpc_method_handler(answer)

    def _answer(
        self,
        method: Method,
        data: bytes,
        request_id: str,
        metadata: Mapping[str, str],
        context: grpc.ServicerContext,
    ) -> bytes:
        sticky_key = who = ""
        if method.scope is not None:
            identity = self._let_in(method.scope, metadata, context)
            sticky_key = metadata.get(STICKY_KEY, identity.sticky_key)
            who = identity.name
        caller = Caller(
            request_id,
            method.protocol,
            sticky_key,
            _deadline(context),
            peer_address(context.peer()),
            len(data),
            metadata.get("traceparent", ""),
            who,
        )
        response = method.answer(parse_message(method.request, data), caller)
        serialized: bytes = response.SerializeToString()
        return serialized

    def _let_in(
        self, scope: Scope, metadata: Mapping[str, str], context: grpc.ServicerContext
    ) -> Identity:
        return self._gate.check(
            scope,
            api_key=metadata.get("x-api-key"),
            bearer=bearer_of(metadata.get("authorization", "")),
            certificate=_certificate(context),
            peer=peer_address(context.peer()),
        )


def peer_address(peer: str) -> str:
    """Return the address of gRPC's ``ipv4:127.0.0.1:50000``; "" for a Unix socket."""
    family, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if family in {"ipv4", "ipv6"} else ""


def _request_id(metadata: Mapping[str, str]) -> str:
    given = metadata.get(REQUEST_ID, "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _deadline(context: grpc.ServicerContext) -> float | None:
    left = context.time_remaining()
    return time.monotonic() + left if left is not None and left < _NEVER_S else None


def _certificate(context: grpc.ServicerContext) -> str:
    """Return the subject of the client's verified certificate; "" without one."""
    chain = context.auth_context().get("x509_pem_cert", ())
    return next((_subject(bytes(pem)) for pem in chain), "")


_subject = lru_cache(maxsize=256)(subject_of)
"""A client sends its certificate once, but gRPC hands it out with every call."""


def _words(error: Exception, request_id: str) -> str:
    if isinstance(error, AgiwbError):
        return words_of(error)
    _log.error("The call %s failed.", request_id, exc_info=error)
    return f"The server failed; its log tells why, under the request id {request_id}."
