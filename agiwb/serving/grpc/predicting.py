"""Predict: named tensors in, named tensors out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from agiwb.runtimes.served_signature import ServedSignature
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Caller
from agiwb.serving.grpc.model_specs import read_model_spec, write_model_spec
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.protobuf.tensor_proto import read_tensor, write_tensor
from agiwb.serving.servables.catalogue import LoadedVersion
from agiwb.serving.status import Code, Refusal


class Predicting:
    """Answers ``PredictRequest``; several threads may."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._response = message_class("PredictResponse")

    def predict(self, request: Any, caller: Caller) -> Any:
        """Return the ``PredictResponse``.

        Outputs of numbers are bytes, in ``tensor_content``, if an input was.

        Raises:
            Refusal: In TensorFlow Serving's codes and words: the model, the signature, the set of
                inputs or the output filter is not there.
            InputError: The tensors contradict themselves or the signature.
        """
        spec = read_model_spec(request)
        with self._engine.exchange(spec, caller) as exchange:
            served = find_signature(exchange.version, spec.signature_name)
            check_inputs(request.inputs.keys(), [one.name for one in served.signature.inputs])
            check_outputs(request.output_filter, [one.name for one in served.signature.outputs])
            inputs = {name: read_tensor(proto, name) for name, proto in request.inputs.items()}
            exchange.asks(spec.signature_name, inputs)
            answer = self._engine.predict_now(
                exchange.version,
                spec.signature_name,
                inputs,
                caller,
                tuple(request.output_filter),
            )
            response = self._response()
            write_model_spec(response.model_spec, exchange.version, spec.signature_name)
            as_content = any(proto.tensor_content for proto in request.inputs.values())
            for name, array in answer.outputs.items():
                write_tensor(array, response.outputs[name], as_content)
            return response


def find_signature(version: LoadedVersion, name: str) -> ServedSignature:
    """Return the signature of that ``name``.

    Raises:
        Refusal: The model has none.
    """
    served = version.servable.signatures.get(name)
    if served is None:
        raise Refusal(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    return served


def check_inputs(sent: Collection[str], expected: Collection[str]) -> None:
    """Raise Refusal unless the names are the same; the words are TensorFlow Serving's."""
    extra, missing = set(sent) - set(expected), set(expected) - set(sent)
    if extra or missing:
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"input size does not match signature: {len(sent)}!={len(expected)} "
            f"len({_braces(sent)}) != len({_braces(expected)}). Sent extra: {_braces(extra)}. "
            f"Missing but required: {_braces(missing)}.",
        )


def check_outputs(wanted: Iterable[str], there: Collection[str]) -> None:
    """Raise Refusal if an output is not there, or wanted twice; the words are as above."""
    seen: set[str] = set()
    for name in wanted:
        if name not in there:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {_braces(there)}.",
            )
        if name in seen:
            raise Refusal(Code.INVALID_ARGUMENT, f"duplicate output tensor alias: {name}")
        seen.add(name)


def _braces(names: Iterable[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"
