"""TensorFlow Serving's own stubs and Triton's client, each in an environment of its own.

tensorflow-serving-api asks for all of TensorFlow, but its stubs use generated messages only: a
package that points at those of the TensorFlow installed here will do.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from agiwb.serving.protobuf.messages import pool
from tests.serving.client_environments import make_environment, told_by
from tests.serving.grpc.grpc_client import model, serving
from tests.serving.onnx_models import write_echo, write_half_plus_two, write_two_by_two
from tests.serving.protobuf.real_descriptors import fields_of, read_descriptors

pytestmark = pytest.mark.slow

SERVING_MODULES = [
    f"tensorflow_serving.{name}_pb2"
    for name in (
        "apis.prediction_service",
        "apis.model_service",
        "apis.prediction_log",
        "config.model_server_config",
    )
]
LEFT_OUT = {
    "tensorflow.serving.SessionRunRequest": {"options"},
    "tensorflow.serving.SessionRunResponse": {"metadata"},
}
"""Fields whose messages are TensorFlow's own affair; they stay unknown fields."""
WITHOUT_STUBS = {
    "SSLConfig",
    "PrometheusConfig",
    "MonitoringConfig",
    "BatchingParameters",
}
"""Configuration that no package on PyPI has descriptors of."""

TENSORFLOW_CLIENT = """
import json, sys
import grpc
from google.protobuf import wrappers_pb2
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (get_model_metadata_pb2, get_model_status_pb2,
    model_management_pb2, model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc)

channel = grpc.insecure_channel(sys.argv[1])
predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
models = model_service_pb2_grpc.ModelServiceStub(channel)
told = {}

request = predict_pb2.PredictRequest()
request.model_spec.name = "half"
x = request.inputs["x"]
x.dtype = types_pb2.DT_FLOAT
x.tensor_shape.dim.add().size = 2
x.float_val.extend([1.0, 2.0])
answer = predictions.Predict(request, timeout=60)
told["predict"] = list(answer.outputs["y"].float_val)
told["version"] = answer.model_spec.version.value
request.model_spec.signature_name = "x"
try:
    predictions.Predict(request, timeout=60)
except grpc.RpcError as error:
    told["refused"] = [error.code().name, error.details()]

metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
metadata.model_spec.name = "half"
described = get_model_metadata_pb2.SignatureDefMap()
predictions.GetModelMetadata(metadata, timeout=60).metadata["signature_def"].Unpack(described)
told["signatures"] = list(described.signature_def)

status = get_model_status_pb2.GetModelStatusRequest()
status.model_spec.name = "half"
(one,) = models.GetModelStatus(status, timeout=60).model_version_status
told["status"] = [one.version, one.State.Name(one.state), one.status.error_code]

reload = model_management_pb2.ReloadConfigRequest()
reload.config.model_config_list.config.add(
    name="again", base_path=sys.argv[2], model_platform="tensorflow")
told["reload"] = models.HandleReloadConfigRequest(reload, timeout=60).status.error_code
print(json.dumps(told))
"""

TRITON_CLIENT = """
import json, sys
import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

client = InferenceServerClient(sys.argv[1])
told = {"live": client.is_server_live(), "ready": client.is_server_ready()}
told["models"] = [client.is_model_ready("two"), client.is_model_ready("two", "9")]
told["metadata"] = client.get_model_metadata("two", as_json=True)
told["index"] = sorted(one.name for one in client.get_model_repository_index().models)
a, b = InferInput("a", [2], "FP32"), InferInput("b", [2], "INT64")
a.set_data_from_numpy(np.float32([1, 2]))
b.set_data_from_numpy(np.int64([3, 4]))
wanted = [InferRequestedOutput("b_twice"), InferRequestedOutput("sum")]
result = client.infer("two", [a, b], outputs=wanted, request_id="7")
told["outputs"] = [result.as_numpy("sum").tolist(), result.as_numpy("b_twice").tolist()]
told["id"] = result.get_response().id
text = InferInput("text", [2], "BYTES")
text.set_data_from_numpy(np.array([b"a", b"bc"], object))
told["text"] = [one.decode() for one in client.infer("echo", [text]).as_numpy("same")]
try:
    client.infer("other", [a])
except InferenceServerException as error:
    told["refused"] = [error.status(), error.message()]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def tensorflow_python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environments") / "tensorflow"
    packages = (
        "tensorflow-serving-api==2.21.0",
        "protobuf==6.33.*",
        "grpcio",
        "typing-extensions",
    )
    python = make_environment(folder, *packages, dependencies=False)
    (site,) = folder.glob("lib/python*/site-packages")
    here = Path(importlib.util.find_spec("tensorflow").origin).parent
    (site / "tensorflow").mkdir()
    (site / "tensorflow" / "__init__.py").write_text(f"__path__.append({str(here)!r})\n")
    return python


@pytest.fixture(scope="module")
def triton_python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environments") / "triton"
    return make_environment(folder, "tritonclient[grpc]==2.73.0", dependencies=True)


@pytest.fixture
def served(tmp_path):
    write_half_plus_two(tmp_path / "half" / "5")
    write_two_by_two(tmp_path / "two" / "1")
    write_echo(tmp_path / "echo" / "1")
    with serving(
        [model(name, tmp_path / name) for name in ("half", "two", "echo")], admin=True
    ) as (server):
        yield server


def test_tensorflow_servings_stubs_are_answered(tensorflow_python, served, tmp_path):
    address = f"127.0.0.1:{served.server.port}"
    assert told_by(tensorflow_python, TENSORFLOW_CLIENT, address, tmp_path / "half") == {
        "predict": [2.5, 3.0],
        "version": 5,
        "refused": ["FAILED_PRECONDITION", 'Serving signature key "x" not found.'],
        "signatures": ["serving_default"],
        "status": [5, "AVAILABLE", 0],
        "reload": 0,
    }
    assert [model.name for model in served.engine.catalogue.models()] == ["again"]


def test_tritons_client_is_answered(triton_python, served):
    told = told_by(triton_python, TRITON_CLIENT, f"127.0.0.1:{served.server.port}")
    assert told["live"]
    assert told["ready"]
    assert told["models"] == [True, False]
    assert [one["datatype"] for one in told["metadata"]["inputs"]] == ["FP32", "INT64"]
    assert told["index"] == ["echo", "half", "two"]
    assert told["outputs"] == [[4.0, 6.0], [6, 8]]
    assert told["id"] == "7"
    assert told["text"] == ["a", "bc"]
    status, words = told["refused"]
    assert status == "StatusCode.NOT_FOUND"
    assert words.startswith("Servable not found for request: Latest(other)")


def test_every_message_of_tensorflow_serving_is_theirs(tensorflow_python):
    real = read_descriptors(*SERVING_MODULES, python=tensorflow_python)
    for file in ("tensorflow_serving.proto", "tensorflow_serving_config.proto"):
        compare(file, real, WITHOUT_STUBS)


def test_every_message_of_open_inference_is_tritons(triton_python):
    real = read_descriptors("tritonclient.grpc.service_pb2", python=triton_python)
    compare("open_inference.proto", real, set())


def compare(file, real, without):
    described = pool().FindFileByName(file)
    compared = 0
    for message in every_message(described.message_types_by_name.values()):
        if message.name not in without:
            theirs = fields_of(real.FindMessageTypeByName(message.full_name))
            left_out = LEFT_OUT.get(message.full_name, set())
            kept = {name: field for name, field in theirs.items() if name not in left_out}
            assert fields_of(message) == kept, message.full_name
            compared += 1
    assert compared > 10
    for service in described.services_by_name.values():
        theirs = real.FindServiceByName(service.full_name).methods_by_name
        for method in service.methods:
            assert method.input_type.full_name == theirs[method.name].input_type.full_name
            assert method.output_type.full_name == theirs[method.name].output_type.full_name


def every_message(messages):
    for message in messages:
        yield message
        yield from every_message(message.nested_types)
