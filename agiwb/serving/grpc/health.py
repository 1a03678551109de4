"""gRPC's health checks, answered from the catalogue as it is now; anyone may ask.

``Watch`` is not offered: a client that is told so takes the server to be healthy, as gRPC's
protocol wants, while a stream for each watcher would keep a thread.
"""

from __future__ import annotations

from typing import Any

from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Caller
from agiwb.serving.grpc.calls import Method
from agiwb.serving.protobuf.messages import enum_numbers, message_class
from agiwb.serving.status import Code, Refusal

SERVICE = "grpc.health.v1.Health"

_STATUS = enum_numbers("grpc.health.v1.HealthCheckResponse.ServingStatus")
_SERVICES = frozenset(
    {
        "",
        "ModelService",
        "PredictionService",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
        "inference.GRPCInferenceService",
    }
)


class Health:
    """Answers ``Check`` for the server, for its services, and for each model by its name."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def methods(self) -> dict[str, Method]:
        """Return the service's methods."""
        return {"Check": Method("grpc.health.v1.HealthCheckRequest", self._check, scope=None)}

    def _check(self, request: Any, caller: Caller) -> Any:
        """Return the ``HealthCheckResponse``.

        Raises:
            Refusal: There is no such service or model.
        """
        catalogue = self._engine.catalogue
        if request.service in _SERVICES:
            serving = self._engine.is_ready()
        elif any(model.name == request.service for model in catalogue.models()):
            serving = bool(catalogue.available(request.service))
        else:
            raise Refusal(Code.NOT_FOUND, f"There is no service or model {request.service!r} here.")
        status = _STATUS["SERVING" if serving else "NOT_SERVING"]
        return message_class("grpc.health.v1.HealthCheckResponse")(status=status)
