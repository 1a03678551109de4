"""Classify, Regress and MultiInference: ``tf.Example`` messages in, labels and scores out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.runtimes.runtime import Tensors
from agiwb.runtimes.served_signature import CLASSIFY_METHOD, REGRESS_METHOD, ServedSignature
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Api, Caller, Exchange
from agiwb.serving.grpc.example_results import (
    INPUTS,
    check_classification,
    check_regression,
    write_classifications,
    write_regressions,
)
from agiwb.serving.grpc.model_specs import read_model_spec, write_model_spec
from agiwb.serving.protobuf.examples import serialized_examples
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.servables.catalogue import LoadedVersion
from agiwb.serving.status import Code, Refusal


@dataclass(frozen=True)
class _Kind:
    """What one of the two methods asks of a signature, and makes of its outputs."""

    check: Callable[..., None]
    write: Callable[[Tensors, int, Any], None]
    result_field: str
    api: Api


_KINDS = {
    CLASSIFY_METHOD: _Kind(
        check_classification, write_classifications, "classification_result", "Classify"
    ),
    REGRESS_METHOD: _Kind(check_regression, write_regressions, "regression_result", "Regress"),
}


class ExampleMethods:
    """Answers the three requests; several threads may.

    Errors of all: a Refusal in TensorFlow Serving's codes and words if the model or a fitting
    signature is not there; an InputError if there are no examples, or the model refuses them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def classify(self, request: Any, caller: Caller) -> Any:
        """Return the ``ClassificationResponse``."""
        return self._one(request, caller, CLASSIFY_METHOD, "ClassificationResponse")

    def regress(self, request: Any, caller: Caller) -> Any:
        """Return the ``RegressionResponse``."""
        return self._one(request, caller, REGRESS_METHOD, "RegressionResponse")

    def multi_inference(self, request: Any, caller: Caller) -> Any:
        """Return the ``MultiInferenceResponse``: one result a task, in their order."""
        if not request.tasks:
            raise Refusal(Code.INVALID_ARGUMENT, "The request has no tasks.", "Send at least one.")
        spec = read_model_spec(request.tasks[0])
        _check_tasks(request.tasks)
        response = message_class("MultiInferenceResponse")()
        with self._engine.exchange(spec, caller) as exchange:
            exchange.api = "MultiInference"
            chosen = [_choose(exchange.version, task) for task in request.tasks]
            for name, kind in chosen:
                result = response.results.add()
                written = getattr(result, kind.result_field)
                written.SetInParent()
                self._run(exchange, name, kind, request.input, written, caller)
                write_model_spec(result.model_spec, exchange.version, name)
        return response

    def _one(self, request: Any, caller: Caller, method: str, response_name: str) -> Any:
        spec = read_model_spec(request)
        response = message_class(response_name)()
        kind, name = _KINDS[method], spec.signature_name
        with self._engine.exchange(spec, caller) as exchange:
            exchange.api = kind.api
            problem = f"No signature was found with the name: {name}"
            kind.check(_find(exchange.version, name, problem))
            response.result.SetInParent()
            self._run(exchange, name, kind, request.input, response.result, caller)
            write_model_spec(response.model_spec, exchange.version, name)
        return response

    def _run(
        self,
        exchange: Exchange,
        name: str,
        kind: _Kind,
        request_input: Any,
        result: Any,
        caller: Caller,
    ) -> None:
        inputs: Tensors = {INPUTS: serialized_examples(request_input)}
        exchange.asks(name, inputs)
        answer = self._engine.predict_now(exchange.version, name, inputs, caller)
        kind.write(answer.outputs, len(inputs[INPUTS]), result)


def _choose(version: LoadedVersion, task: Any) -> tuple[str, _Kind]:
    name = task.model_spec.signature_name or SIGNATURE_NAME
    served = _find(version, name, f"Requested signature not found in model graph: {name}")
    kind = _KINDS[task.method_name]
    # A task says which method it means, so the signature's own does not matter.
    kind.check(served, method=False)
    return name, kind


def _find(version: LoadedVersion, name: str, problem: str) -> ServedSignature:
    served = version.servable.signatures.get(name)
    if served is None:
        raise Refusal(Code.INVALID_ARGUMENT, problem)
    return served


def _check_tasks(tasks: Any) -> None:
    """Raise Refusal unless all tasks ask one model, each another signature of it."""
    first = tasks[0].model_spec.name
    seen: set[str] = set()
    for task in tasks:
        if not task.model_spec.name:
            raise Refusal(Code.INVALID_ARGUMENT, "Found ModelSpec with an empty model name.")
        if task.model_spec.name != first:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
            )
        name = task.model_spec.signature_name or SIGNATURE_NAME
        if name in seen:
            problem = f"Duplicate evaluation of signature: {name}"
            raise Refusal(Code.INVALID_ARGUMENT, problem)
        seen.add(name)
        if task.method_name not in _KINDS:
            problem = f"Unsupported signature method_name: {task.method_name}"
            raise Refusal(Code.UNIMPLEMENTED, problem)
