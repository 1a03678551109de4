"""What managed platforms ask of a container: SageMaker's and Vertex AI's routes.

SageMaker asks ``/ping`` and ``/invocations`` on port 8080; Vertex AI names its routes in the
environment (``AIP_HEALTH_ROUTE``, ``AIP_PREDICT_ROUTE``). Bodies are TensorFlow Serving's;
SageMaker also sends a bare list of instances, lines of JSON, or CSV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agiwb.errors import InputError, NotFoundError
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Caller
from agiwb.serving.http.messages import Request, Response
from agiwb.serving.rest import tensorflow
from agiwb.serving.rest.apart import apart
from agiwb.serving.rest.routes import Route, version_number
from agiwb.serving.rest_json.json_text import dump_json, load_json
from agiwb.serving.rest_json.large_json import LARGE

_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"
_UNAVAILABLE = 503


def health(engine: Engine) -> Response:
    """Answer 200 if the server is to be sent requests, else 503 and why not."""
    if waiting := engine.waiting_models():
        return Response(_UNAVAILABLE, dump_json({"status": "loading", "models": list(waiting)}))
    if hindrance := engine.hindrance():
        return Response(_UNAVAILABLE, dump_json({"status": "not ready", "reason": hindrance}))
    return Response(200, b'{"status":"ok"}')


async def invoke(engine: Engine, request: Request, route: Route, caller: Caller) -> Response:
    """Answer a prediction for the model that is named in SageMaker's attributes, or for the first.

    Raises:
        AgiwbError: See Engine; or the body is in a form that is not known.
    """
    model, version = _asked_model(request.headers)
    if not model:
        models = engine.catalogue.models()
        if not models:
            raise NotFoundError("This server has no models.")
        model = models[0].name
    if len(request.body) < LARGE:
        body = _as_predict_body(request)
    else:  # the loop goes on answering others
        body = await apart(_as_predict_body, request)
    return await tensorflow.predict(
        engine, replace(request, body=body), Route("predict", model, version), caller
    )


def aliases(environment: Mapping[str, str]) -> dict[tuple[str, str], Route]:
    """Return the routes that Vertex AI names in the environment."""
    routes = {}
    if path := environment.get("AIP_HEALTH_ROUTE"):
        routes["GET", path] = Route("ping")
    if path := environment.get("AIP_PREDICT_ROUTE"):
        routes["POST", path] = Route("invocations")
    return routes


def _asked_model(headers: Mapping[bytes, bytes]) -> tuple[str, int | None]:
    """Return what ``tfs-model-name=m,tfs-model-version=3`` asks for; "", None for what is not.

    Raises:
        InputError: The version is larger than any.
    """
    pairs = dict(
        pair.strip().partition("=")[::2]
        for pair in headers.get(_ATTRIBUTES, b"").decode("latin-1").split(",")
    )
    version = pairs.get("tfs-model-version", "")
    return pairs.get("tfs-model-name", ""), version_number(version) if version.isdecimal() else None


def _as_predict_body(request: Request) -> bytes:
    kind = request.headers.get(b"content-type", b"application/json").partition(b";")[0].strip()
    if kind in {b"application/json", b""}:
        body = request.body.lstrip()
        return b'{"instances":%b}' % body if body.startswith(b"[") else body
    if kind in {b"application/jsonlines", b"application/jsons"}:
        lines = [line for line in request.body.splitlines() if line.strip()]
        return b'{"instances":[%b]}' % b",".join(lines)
    if kind == b"text/csv":
        rows = [line.strip() for line in request.body.splitlines() if line.strip()]
        load_json(b"[[%b]]" % b"],[".join(rows))  # numbers only: say where they are not
        return b'{"instances":[[%b]]}' % b"],[".join(rows)
    raise InputError(
        f"The content type {kind.decode('latin-1')} is not known.",
        "Send application/json, application/jsonlines, or text/csv of numbers.",
    )
