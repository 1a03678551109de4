"""The Open Inference Protocol, version 2, as ``GRPCInferenceService``."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from agiwb import __version__
from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Caller, ModelSpec
from agiwb.serving.grpc.calls import Method
from agiwb.serving.grpc.infer_tensors import has_typed_contents, read_inputs, write_output
from agiwb.serving.grpc.predicting import check_inputs, check_outputs, find_signature
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.rest_json.oip_types import describe_oip_model, platform_of
from agiwb.serving.servables.states import State
from agiwb.serving.status import Code, Refusal
from agiwb.serving.versions import LARGEST_VERSION

SERVICE = "inference.GRPCInferenceService"

_VERSION = re.compile(r"\d{1,19}")
_INDEX_STATES = {
    State.START: "UNAVAILABLE",
    State.LOADING: "LOADING",
    State.AVAILABLE: "READY",
    State.UNLOADING: "UNLOADING",
    State.END: "UNAVAILABLE",
}
"""What the repository's index calls the states of versions."""


class OpenInference:
    """The service; several threads may call its methods.

    A request's parameter ``signature_name``, a string, names another signature than the default.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._infer_response = _message("ModelInferResponse")

    def methods(self) -> dict[str, Method]:
        """Return the service's methods."""
        method = partial(Method, protocol="oip_grpc")
        return {
            "ServerLive": method("inference.ServerLiveRequest", self._live, scope=None),
            "ServerReady": method("inference.ServerReadyRequest", self._ready, scope=None),
            "ServerMetadata": method("inference.ServerMetadataRequest", self._server),
            "ModelReady": method("inference.ModelReadyRequest", self._model_ready),
            "ModelMetadata": method("inference.ModelMetadataRequest", self._model),
            "ModelInfer": method("inference.ModelInferRequest", self._infer),
            "RepositoryIndex": method("inference.RepositoryIndexRequest", self._index),
        }

    def _live(self, request: Any, caller: Caller) -> Any:
        return _message("ServerLiveResponse")(live=True)

    def _ready(self, request: Any, caller: Caller) -> Any:
        return _message("ServerReadyResponse")(ready=self._engine.is_ready())

    def _server(self, request: Any, caller: Caller) -> Any:
        return _message("ServerMetadataResponse")(name="agiwb", version=__version__)

    def _model_ready(self, request: Any, caller: Caller) -> Any:
        """Return whether the model answers; one that is not there does not."""
        spec = _spec(request.name, request.version)
        available = self._engine.catalogue.available(spec.name)
        ready = bool(available) if spec.version is None else spec.version in available
        return _message("ModelReadyResponse")(ready=ready)

    def _model(self, request: Any, caller: Caller) -> Any:
        """Return the ``ModelMetadataResponse``: the default signature, or else the first.

        Raises:
            Refusal: There is no such model.
        """
        spec = _spec(request.name, request.version)
        with self._engine.lease(spec, caller.sticky_key, caller.request_id) as version:
            served = version.servable.signatures
            signature = (served.get(SIGNATURE_NAME) or next(iter(served.values()))).signature
            available = self._engine.catalogue.available(spec.name)
            described = describe_oip_model(
                version.name, available, signature, platform_of(version.folder)
            )
        return _message("ModelMetadataResponse")(**described)

    def _infer(self, request: Any, caller: Caller) -> Any:
        """Return the ``ModelInferResponse``; raw if the request was.

        Raises:
            Refusal: There is no such model, signature, input or output.
            InputError: The tensors contradict themselves or the signature.
        """
        parameter = request.parameters.get("signature_name")
        name = (parameter.string_param if parameter else "") or SIGNATURE_NAME
        spec = _spec(request.model_name, request.model_version, name)
        with self._engine.exchange(spec, caller) as exchange:
            version = exchange.version
            signature = find_signature(version, name).signature
            inputs = read_inputs(request)
            check_inputs(inputs, [one.name for one in signature.inputs])
            wanted = tuple(output.name for output in request.outputs)
            check_outputs(wanted, [one.name for one in signature.outputs])
            exchange.asks(name, inputs)
            answer = self._engine.predict_now(version, name, inputs, caller, wanted)
        response = self._infer_response(
            model_name=answer.model, model_version=str(answer.version), id=request.id
        )
        outputs = {key: answer.outputs[key] for key in wanted or answer.outputs}
        typed = not request.raw_input_contents and all(map(has_typed_contents, outputs.values()))
        for key, array in outputs.items():
            contents = None if typed else response.raw_output_contents
            write_output(array, response.outputs.add(name=key), contents)
        return response

    def _index(self, request: Any, caller: Caller) -> Any:
        """Return the ``RepositoryIndexResponse``: every version, or those that are ready."""
        response = _message("RepositoryIndexResponse")()
        for model in self._engine.catalogue.models():
            for status in self._engine.catalogue.status(ModelSpec(model.name)):
                if status.state is State.AVAILABLE or not request.ready:
                    response.models.add(
                        name=model.name,
                        version=str(status.version),
                        state=_INDEX_STATES[status.state],
                        reason=status.message,
                    )
        return response


def _message(name: str) -> Any:
    return message_class(f"inference.{name}")


def _spec(name: str, version: str, signature_name: str = "") -> ModelSpec:
    if not name:
        raise Refusal(Code.INVALID_ARGUMENT, "The request names no model.", "Send its name.")
    if not version:
        return ModelSpec(name, signature_name=signature_name)
    if not _VERSION.fullmatch(version) or int(version) > LARGEST_VERSION:
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"The version {version!r} of model {name} is not a number.",
            "Send a number, or nothing for the version that is served by default.",
        )
    return ModelSpec(name, int(version), signature_name=signature_name)
