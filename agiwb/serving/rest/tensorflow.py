"""TensorFlow Serving's REST API: predict, status and metadata."""

from __future__ import annotations

from typing import Any

from agiwb.errors import InputError
from agiwb.runtimes.served_signature import ServedSignature
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Caller
from agiwb.serving.http.messages import Request, Response
from agiwb.serving.rest.apart import apart
from agiwb.serving.rest.routes import Route
from agiwb.serving.rest_json.example_body import describe_inputs
from agiwb.serving.rest_json.json_text import dump_json
from agiwb.serving.rest_json.large_json import LARGE, has_large
from agiwb.serving.rest_json.predict_json import PredictRequest, decode_request, encode_response
from agiwb.serving.servables.states import VersionStatus


async def predict(engine: Engine, request: Request, route: Route, caller: Caller) -> Response:
    """Answer ``:predict``, in rows or columns as it was asked.

    Raises:
        AgiwbError: See Engine; a body that does not fit is shown one that does.
    """
    with engine.exchange(route.spec, caller) as exchange:
        signatures = exchange.version.servable.signatures
        asked: PredictRequest | None = None
        try:
            if len(request.body) < LARGE:
                asked = decode_request(request.body, signatures)
            else:  # the loop goes on answering others
                asked = await apart(decode_request, request.body, signatures)
            exchange.asks(asked.signature_name, asked.tensors)
            answer = await engine.predict(
                exchange.version, asked.signature_name, asked.tensors, caller
            )
            if not has_large(answer.outputs):
                return Response(200, encode_response(answer.outputs, asked.layout))
            return Response(200, await apart(encode_response, answer.outputs, asked.layout))
        except InputError as error:
            served = signatures.get(asked.signature_name if asked else "serving_default")
            raise _with_example(error, served) from None


def describe_status(engine: Engine, route: Route) -> Response:
    """Answer with the states of a model's versions, or of one.

    Raises:
        NotFoundError: There is no such model or version.
    """
    statuses = engine.catalogue.status(route.spec)
    return Response(200, dump_json({"model_version_status": [_status(one) for one in statuses]}))


def describe_metadata(engine: Engine, route: Route) -> Response:
    """Answer with the signatures of a version.

    Raises:
        AgiwbError: There is no such model, version or label.
    """
    from google.protobuf.json_format import MessageToDict

    from agiwb.serving.protobuf.model_metadata import signature_def_map

    with engine.catalogue.lease(route.spec) as version:
        described = MessageToDict(
            signature_def_map(version.servable.signatures),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        document = {
            "model_spec": {
                "name": version.name,
                "signature_name": "",
                "version": str(version.number),
            },
            "metadata": {"signature_def": described},
        }
    return Response(200, dump_json(document))


def _with_example(error: InputError, served: ServedSignature | None) -> InputError:
    if served is None:
        return error
    return InputError(f"{str(error).rstrip('.')}.", describe_inputs(served.signature))


def _status(status: VersionStatus) -> dict[str, Any]:
    return {
        "version": str(status.version),
        "state": status.state.name,
        "status": {"error_code": status.code.name, "error_message": status.message},
    }
