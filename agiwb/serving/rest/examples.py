"""TensorFlow Serving's ``:classify`` and ``:regress``: examples of named features in JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agiwb.runtimes.runtime import Tensors
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Caller
from agiwb.serving.grpc.example_results import INPUTS, check_classification, check_regression
from agiwb.serving.http.messages import Request, Response
from agiwb.serving.protobuf.examples import serialized_examples
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.rest.routes import Route
from agiwb.serving.rest_json.examples_json import (
    Example,
    ExamplesRequest,
    decode_examples,
    encode_classifications,
    encode_regressions,
)
from agiwb.serving.servables.servable import ServedSignature
from agiwb.serving.status import Code, Refusal


@dataclass(frozen=True)
class _Method:
    """What a method asks of a signature, and makes of its outputs."""

    check: Callable[[ServedSignature], None]
    encode: Callable[[Tensors], bytes]


_CLASSIFY = _Method(
    check_classification,
    lambda found: encode_classifications(found.get("classes"), found.get("scores")),
)
_REGRESS = _Method(check_regression, lambda found: encode_regressions(found["outputs"]))


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
        asked = decode_examples(request.body)
        served = exchange.version.servable.signatures.get(asked.signature_name)
        if served is None:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"No signature was found with the name: {asked.signature_name}",
            )
        method.check(served)
        inputs = {INPUTS: serialized_examples(_message(asked))}
        exchange.asks(asked.signature_name, inputs)
        answer = await engine.predict(exchange.version, asked.signature_name, inputs, caller)
        return Response(200, method.encode(answer.outputs))


def _message(asked: ExamplesRequest) -> Any:
    """Return the request as the ``Input`` message that gRPC would carry."""
    message = message_class("Input")()
    if asked.context is None:
        listed = message.example_list
    else:
        listed = message.example_list_with_context
        _fill(listed.context, asked.context)
    for example in asked.examples:
        _fill(listed.examples.add(), example)
    return message


def _fill(message: Any, example: Example) -> None:
    for name, values in example.items():
        feature = message.features.feature[name]
        if not values:
            feature.SetInParent()
        elif isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
