"""Every HTTP request of a server: who asks, for what, and how errors are told."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping

from agiwb.errors import AgiwbError
from agiwb.serving.access.gate import Gate, bearer_of
from agiwb.serving.access.identity import ANYONE, Identity, Scope
from agiwb.serving.access.own_machine import check_own_machine
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Caller, Protocol
from agiwb.serving.http.answering import refuse
from agiwb.serving.http.messages import Request, Response
from agiwb.serving.metrics.exposed import Exposed
from agiwb.serving.rest import clouds, examples, inference_v2, tensorflow
from agiwb.serving.rest.admin import Admin
from agiwb.serving.rest.routes import Resource, Route, find_route
from agiwb.serving.status import Code, Refusal

Speak = Callable[[Engine, Request, Route, Caller], Awaitable[Response]]

_TEXT = b"text/plain; version=0.0.4; charset=utf-8"

_PREDICTIONS: dict[Resource, tuple[Speak, Protocol]] = {
    "predict": (tensorflow.predict, "tfs_rest"),
    "classify": (examples.classify, "tfs_rest"),
    "regress": (examples.regress, "tfs_rest"),
    "v2_infer": (inference_v2.infer, "oip_rest"),
    "invocations": (clouds.invoke, "invocations"),
}
_DESCRIPTIONS: dict[Resource, Callable[[Engine, Route], Response]] = {
    "status": tensorflow.describe_status,
    "metadata": tensorflow.describe_metadata,
    "v2_server": inference_v2.describe_server,
    "v2_model": inference_v2.describe_model,
    "v2_model_ready": inference_v2.describe_readiness,
}
_EXPOSITIONS: dict[Resource, Callable[[Exposed], bytes]] = {
    "metrics": lambda metrics: metrics.render(),
    "tensorflow_metrics": lambda metrics: metrics.render_tensorflow(),
}
_PROBES: dict[Resource, Callable[[Engine], Response]] = {
    "health": clouds.health,
    "v2_live": inference_v2.live,
    "v2_ready": inference_v2.ready,
    "ping": clouds.health,
}
"""What anyone may ask: probes carry no keys."""
_SCOPES: dict[Resource, Scope] = {"metrics": "metrics", "tensorflow_metrics": "metrics"}
_LONGEST_REQUEST_ID = 128


class RestApplication:
    """Answers any request; raises nothing.

    Args:
        engine: Predicts.
        gate: Knows who may ask.
        timeout_s: Seconds after which a prediction is answered with 504.
        traced: Whether the engine makes spans of requests.
        own_machine_only: Whether what a web page from elsewhere has a browser ask is refused.
        admin: Answers what is below ``/admin/``; None refuses it.
        sum_metrics: Returns what all workers have counted, if this process is one of several.
        aliases: More request lines and what they stand for, such as Vertex AI's ``AIP_*`` routes.
    """

    def __init__(
        self,
        engine: Engine,
        gate: Gate,
        *,
        timeout_s: float = 30.0,
        traced: bool = False,
        admin: Admin | None = None,
        own_machine_only: bool = False,
        aliases: Mapping[tuple[str, str], Route] | None = None,
        sum_metrics: Callable[[], Exposed] | None = None,
    ) -> None:
        self._engine = engine
        self._gate = gate
        self._timeout_s = timeout_s
        self._traced = traced
        self._admin = admin
        self._own_machine_only = own_machine_only
        self._aliases = dict(aliases or {})
        self._sum_metrics = sum_metrics
        self._process = uuid.uuid4().hex[:12]
        self._counter = itertools.count(1)

    async def __call__(self, request: Request) -> Response:
        """Answer one request; the response carries its ``X-Request-Id``."""
        request_id = self._request_id(request)
        if self._traced:  # a span lives in a task's context; until its first wait this has no task
            await asyncio.sleep(0)
        try:
            response = await self._answer(request, request_id)
        except AgiwbError as error:
            self._engine.metrics.refused_for(error)
            response = refuse(error)
        except Exception:
            logging.getLogger("agiwb").exception("Request %s failed.", request_id)
            response = refuse(
                Refusal(
                    Code.INTERNAL,
                    f"The server failed on request {request_id}; its log has the details.",
                )
            )
        response.headers.append((b"x-request-id", request_id.encode()))
        return response

    async def _answer(self, request: Request, request_id: str) -> Response:
        if self._own_machine_only:
            check_own_machine(request.headers)
        route = self._aliases.get((request.method, request.path)) or find_route(
            request.method, request.path
        )
        resource = route.resource
        if resource in _PROBES:
            return _PROBES[resource](self._engine)
        if resource == "admin":
            return await self._administer(request)
        identity = self._identify(request, _SCOPES.get(resource, "predict"))
        spoken = _PREDICTIONS.get(resource)
        if spoken is not None:
            speak, protocol = spoken
            sticky = request.headers.get(b"x-sticky-key")
            caller = Caller(
                request_id,
                protocol,
                sticky.decode("latin-1") if sticky else identity.sticky_key,
                time.monotonic() + self._timeout_s,
                request.peer,
                len(request.body),
                request.headers.get(b"traceparent", b"").decode("latin-1"),
                is_load_test=b"x-agiwb-load-test" in request.headers,
            )
            return await speak(self._engine, request, route, caller)
        if resource in _EXPOSITIONS:
            self._engine.note_shares()
            metrics: Exposed = self._engine.metrics
            if self._sum_metrics is not None:
                metrics = await asyncio.to_thread(self._sum_metrics)
            return Response(200, _EXPOSITIONS[resource](metrics), _TEXT)
        return _DESCRIPTIONS[resource](self._engine, route)

    async def _administer(self, request: Request) -> Response:
        if self._admin is None:
            raise Refusal(
                Code.PERMISSION_DENIED,
                "This server takes no administration.",
                "Start it with `--admin`.",
            )
        return await self._admin.handle_admin(request, self._operator(request))

    def _operator(self, request: Request) -> str:
        """Return who administers; raise Refusal unless they may."""
        identity = self._identify(request, "admin")
        # Where everybody is let in, a page in a browser is not, not even one from this machine.
        # Browsers leave Origin out of some GETs only, and those change nothing.
        if identity is ANYONE and b"origin" in request.headers:
            raise Refusal(
                Code.UNAUTHENTICATED,
                "A web page may not administer this server.",
                "Use a server with keys.",
            )
        return identity.name

    def _identify(self, request: Request, scope: Scope) -> Identity:
        """Return who asks; raise Refusal unless they may."""
        key = request.headers.get(b"x-api-key")
        return self._gate.check(
            scope,
            api_key=key.decode("latin-1") if key else None,
            bearer=bearer_of(request.headers.get(b"authorization", b"").decode("latin-1")),
            certificate=request.client_certificate,
            peer=request.peer,
        )

    def _request_id(self, request: Request) -> str:
        """Return the client's ``X-Request-Id`` if it gave a sensible one, else a new one."""
        given = request.headers.get(b"x-request-id")
        if given and len(given) <= _LONGEST_REQUEST_ID and given.isascii():
            text = given.decode()
            if text.isprintable():
                return text
        return f"{self._process}-{next(self._counter)}"
