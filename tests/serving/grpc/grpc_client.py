"""A gRPC server around a real engine, and a client that calls it by names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from agiwb.serving.access.gate import Gate
from agiwb.serving.batching import BatchingParameters
from agiwb.serving.engine import Engine
from agiwb.serving.grpc.server import GrpcServer, start_grpc
from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.protobuf.tensor_proto import read_tensor, write_tensor
from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.servables.catalogue import Catalogue, ModelConfig
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.servables.model_changes import ModelChanges
from agiwb.serving.servables.models_config import ModelsFile
from agiwb.serving.servables.servable import Servable

PREDICTION = "tensorflow.serving.PredictionService"
MODEL = "tensorflow.serving.ModelService"
INFERENCE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"


@dataclass
class Served:
    """A server, its engine, and a channel to it."""

    engine: Engine
    server: GrpcServer
    channel: grpc.Channel

    def call(self, service: str, method: str, request: Any, response: str, **options) -> Any:
        return self.with_call(service, method, request, response, **options)[0]

    def with_call(self, service, method, request, response, *, timeout=60, **options):
        stub = self.channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_class(response).FromString,
        )
        return stub.with_call(request, timeout=timeout, **options)

    def predict(self, request: Any, **options) -> Any:
        return self.call(PREDICTION, "Predict", request, "PredictResponse", **options)


@contextlib.contextmanager
def serving(
    models: Sequence[ModelConfig],
    *,
    load: Callable[..., Servable] = load_servable,
    gate: Gate | None = None,
    batching: BatchingParameters | None = None,
    admin: bool = False,
    root: Path | None = None,
    models_file: ModelsFile | None = None,
    **options,
) -> Iterator[Served]:
    """Yield a server of ``models`` once each is loaded; with ``admin`` they may be changed."""
    catalogue = Catalogue(load, poll_s=0.05)
    catalogue.configure(models)
    catalogue.start()
    engine = Engine(catalogue, metrics=Metrics(), rollout=Rollout(catalogue), batching=batching)
    try:
        assert catalogue.wait_until_ready(60)
        changes = ModelChanges(catalogue, root=root, models_file=models_file) if admin else None
        gate = gate or Gate.open()
        server = start_grpc(engine, gate, "127.0.0.1", 0, changes=changes, **options)
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield Served(engine, server, channel)
        server.stop(1)
    finally:
        catalogue.stop()
        engine.close()


def model(name: str, folder: Path) -> ModelConfig:
    return ModelConfig(name, folder)


def predict_request(name: str = "", as_content: bool = False, **inputs) -> Any:
    request = message_class("PredictRequest")()
    if name:
        request.model_spec.name = name
    for key, values in inputs.items():
        write_tensor(np.asarray(values), request.inputs[key], as_content)
    return request


def outputs_of(response: Any) -> dict[str, Any]:
    return {name: read_tensor(proto).tolist() for name, proto in response.outputs.items()}
