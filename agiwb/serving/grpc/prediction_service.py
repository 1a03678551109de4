"""TensorFlow Serving's ``PredictionService``: its methods, and what a model is made of."""

from __future__ import annotations

from typing import Any

from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Caller
from agiwb.serving.grpc.calls import Method
from agiwb.serving.grpc.example_methods import ExampleMethods
from agiwb.serving.grpc.model_specs import read_model_spec
from agiwb.serving.grpc.predicting import Predicting
from agiwb.serving.protobuf.model_metadata import SIGNATURE_DEF, model_metadata
from agiwb.serving.status import Code, Refusal

SERVICE = "tensorflow.serving.PredictionService"


class PredictionService:
    """The service; several threads may call its methods."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def methods(self) -> dict[str, Method]:
        """Return the service's methods."""
        examples = ExampleMethods(self._engine)
        return {
            "Predict": Method("PredictRequest", Predicting(self._engine).predict),
            "Classify": Method("ClassificationRequest", examples.classify),
            "Regress": Method("RegressionRequest", examples.regress),
            "MultiInference": Method("MultiInferenceRequest", examples.multi_inference),
            "GetModelMetadata": Method("GetModelMetadataRequest", self._metadata),
        }

    def _metadata(self, request: Any, caller: Caller) -> Any:
        """Return the ``GetModelMetadataResponse``.

        Raises:
            Refusal: There is no such model, or the fields asked for are not ``signature_def``.
        """
        spec = read_model_spec(request)
        if not request.metadata_field:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "GetModelMetadataRequest must specify at least one metadata_field",
            )
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                problem = f"Metadata field {field} is not supported"
                raise Refusal(Code.INVALID_ARGUMENT, problem)
        with self._engine.lease(spec, caller.sticky_key, caller.request_id) as version:
            return model_metadata(version.name, version.number, version.servable.signatures)
