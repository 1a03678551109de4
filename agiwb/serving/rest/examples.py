"""TensorFlow Serving's ``:classify`` and ``:regress``: examples of named features in JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agiwb.runtimes.runtime import Tensors
from agiwb.runtimes.served_signature import ServedSignature
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Api, Caller
from agiwb.serving.grpc.example_results import INPUTS, check_classification, check_regression
from agiwb.serving.http.messages import Request, Response
from agiwb.serving.rest.apart import apart
from agiwb.serving.rest.routes import Route
from agiwb.serving.rest_json.example_protos import serialize_request
from agiwb.serving.rest_json.examples_json import (
    decode_examples,
    encode_classifications,
    encode_regressions,
)
from agiwb.serving.rest_json.large_json import LARGE
from agiwb.serving.status import Code, Refusal


@dataclass(frozen=True)
class _Method:
    """What a method asks of a signature, and makes of its outputs."""

    check: Callable[[ServedSignature], None]
    encode: Callable[[Tensors], bytes]
    api: Api


_CLASSIFY = _Method(
    check_classification,
    lambda found: encode_classifications(found.get("classes"), found.get("scores")),
    "Classify",
)
_REGRESS = _Method(check_regression, lambda found: encode_regressions(found["outputs"]), "Regress")


async def classify(engine: Engine, request: Request, route: Route, caller: Caller) -> Response:
    """Answer with the labels and scores of each example.

    Raises:
        AgiwbError: See Engine; or the signature is not one for classification.
    """
    return await _answer(_CLASSIFY, engine, request, route, caller)


async def regress(engine: Engine, request: Request, route: Route, caller: Caller) -> Response:
    """Answer with one number for each example.

    Raises:
        AgiwbError: See Engine; or the signature is not one for regression.
    """
    return await _answer(_REGRESS, engine, request, route, caller)


async def _answer(
    method: _Method, engine: Engine, request: Request, route: Route, caller: Caller
) -> Response:
    with engine.exchange(route.spec, caller) as exchange:
        exchange.api = method.api
        if len(request.body) < LARGE:
            asked = decode_examples(request.body)
        else:  # the loop goes on answering others
            asked = await apart(decode_examples, request.body)
        served = exchange.version.servable.signatures.get(asked.signature_name)
        if served is None:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"No signature was found with the name: {asked.signature_name}",
            )
        method.check(served)
        inputs = {INPUTS: serialize_request(asked)}
        exchange.asks(asked.signature_name, inputs)
        answer = await engine.predict(exchange.version, asked.signature_name, inputs, caller)
        return Response(200, method.encode(answer.outputs))
