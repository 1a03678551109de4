"""The Open Inference Protocol v2 over HTTP, with the binary tensor extension.

The specification answers readiness with ``{"live": ...}`` in one place and ``{"ready": ...}`` in
another, and servers differ: both are sent.
"""

from __future__ import annotations

from agiwb import __version__
from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.errors import NotFoundError
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Caller
from agiwb.serving.http.messages import JSON, Request, Response
from agiwb.serving.rest.apart import apart
from agiwb.serving.rest.routes import Route
from agiwb.serving.rest_json.json_text import dump_json
from agiwb.serving.rest_json.large_json import LARGE, has_large
from agiwb.serving.rest_json.oip_json import (
    BINARY_CONTENT_TYPE,
    JSON_LENGTH_HEADER,
    decode_infer,
    encode_infer,
)
from agiwb.serving.rest_json.oip_types import describe_oip_model, platform_of

_BAD_REQUEST = 400


async def infer(engine: Engine, request: Request, route: Route, caller: Caller) -> Response:
    """Answer ``infer`` by the signature ``serving_default``.

    Raises:
        AgiwbError: See Engine; or the body is not what the protocol says.
    """
    with engine.exchange(route.spec, caller) as exchange:
        version = exchange.version
        served = version.servable.signatures.get(SIGNATURE_NAME)
        if served is None:
            raise NotFoundError(f"The model {version.name} has no signature {SIGNATURE_NAME}.")
        json_length = request.headers.get(JSON_LENGTH_HEADER)
        if len(request.body) < LARGE:
            asked = decode_infer(request.body, served.signature, json_length)
        else:  # the loop goes on answering others
            asked = await apart(decode_infer, request.body, served.signature, json_length)
        exchange.asks(SIGNATURE_NAME, asked.tensors)
        answer = await engine.predict(version, SIGNATURE_NAME, asked.tensors, caller, asked.outputs)
        told = asked, answer.outputs, version.name, version.number
        if not has_large(answer.outputs):
            body = encode_infer(*told)
        else:
            body = await apart(encode_infer, *told)
    if body.json_length is None:
        return Response(200, body.body)
    length = (b"Inference-Header-Content-Length", str(body.json_length).encode())
    return Response(200, body.body, BINARY_CONTENT_TYPE, [length])


def live(engine: Engine) -> Response:
    """Answer that the server runs."""
    return Response(200, b'{"live":true}')


def ready(engine: Engine) -> Response:
    """Answer whether the server is to be sent requests; 400 if not, as specified."""
    return _readiness(engine.is_ready(), {})


def describe_readiness(engine: Engine, route: Route) -> Response:
    """Answer whether a model, or one version of it, is available."""
    available = engine.catalogue.available(route.model)
    is_ready = bool(available) if route.version is None else route.version in available
    return _readiness(is_ready, {"name": route.model})


def describe_server(engine: Engine, route: Route) -> Response:
    """Answer with the server's name, version, and the extensions it speaks."""
    extensions = ["binary_tensor_data"]
    return Response(
        200, dump_json({"name": "agiwb", "version": __version__, "extensions": extensions})
    )


def describe_model(engine: Engine, route: Route) -> Response:
    """Answer with a model's versions, inputs and outputs.

    Raises:
        AgiwbError: There is no such model or version, or none has a ``serving_default``.
    """
    with engine.catalogue.lease(route.spec) as version:
        served = version.servable.signatures.get(SIGNATURE_NAME)
        if served is None:
            raise NotFoundError(f"The model {version.name} has no signature {SIGNATURE_NAME}.")
        versions = engine.catalogue.available(route.model)
        described = describe_oip_model(
            version.name, versions, served.signature, platform_of(version.folder)
        )
    return Response(200, dump_json(described))


def _readiness(is_ready: bool, more: dict[str, str]) -> Response:
    body = dump_json({**more, "ready": is_ready, "live": is_ready})
    return Response(200 if is_ready else _BAD_REQUEST, body, JSON)
