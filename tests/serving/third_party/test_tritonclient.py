"""Triton's HTTP client, blocking and asynchronous, asks a server process with JSON and binary."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.runtimes.onnx import OnnxRuntime
from tests.serving.abuse.abused_server import abused
from tests.serving.client_environments import make_environment, told_by

pytestmark = pytest.mark.slow

BLOCKING = """
import json, sys
import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

client = InferenceServerClient(sys.argv[1], concurrency=4)
told = {"live": client.is_server_live(), "ready": client.is_server_ready()}
told["models"] = [client.is_model_ready("two"), client.is_model_ready("two", "9")]
told["server"] = client.get_server_metadata()
told["metadata"] = client.get_model_metadata("two")
told["text_metadata"] = client.get_model_metadata("echo", "1")

def inputs(binary):
    a, b = InferInput("a", [2], "FP32"), InferInput("b", [2], "INT64")
    a.set_data_from_numpy(np.float32([1, 2]), binary_data=binary)
    b.set_data_from_numpy(np.int64([3, 2**53 + 1]), binary_data=binary)
    return [a, b]

for sent in (False, True):
    for received in (False, True):
        wanted = [InferRequestedOutput(name, binary_data=received) for name in ("b_twice", "sum")]
        result = client.infer("two", inputs(sent), outputs=wanted, request_id="7")
        told[f"two {sent} {received}"] = [
            result.as_numpy("sum").tolist(), result.as_numpy("b_twice").tolist(),
            result.get_response()["id"], str(result.as_numpy("sum").dtype)]
told["all"] = sorted(o["name"] for o in client.infer("two", inputs(True)).get_response()["outputs"])

features = InferInput("features", [3, 64], "FP32")
features.set_data_from_numpy(np.linspace(-1, 1, 192, dtype=np.float32).reshape(3, 64))
for algorithm in (None, "gzip"):
    result = client.infer("mlp", [features], request_compression_algorithm=algorithm,
                          response_compression_algorithm=algorithm)
    told[f"mlp {algorithm}"] = result.as_numpy("probabilities").tolist()
waiting = [client.async_infer("mlp", [features]) for _ in range(8)]
told["many"] = [one.get_result().as_numpy("probabilities").tolist() for one in waiting]

for binary in (False, True):
    text = InferInput("text", [2], "BYTES")
    text.set_data_from_numpy(np.array(["a", "\\u00e9\\u4e16"], object), binary_data=binary)
    same = client.infer("echo", [text], outputs=[InferRequestedOutput("same", binary_data=binary)])
    told[f"text {binary}"] = [
        one if isinstance(one, str) else one.decode() for one in same.as_numpy("same")]

told["refused"] = []
for model, its in (("nowhere", inputs(True)), ("two", inputs(True)[:1]), ("half", inputs(False))):
    try:
        client.infer(model, its)
    except InferenceServerException as error:
        told["refused"].append([error.status(), error.message()])
print(json.dumps(told))
"""

ASYNCHRONOUS = """
import asyncio, json, sys
import numpy as np
from tritonclient.http import InferInput
from tritonclient.http.aio import InferenceServerClient

async def main():
    told = {}
    async with InferenceServerClient(sys.argv[1]) as client:
        told["ready"] = await client.is_model_ready("half")
        async def ask(value, binary):
            x = InferInput("x", [1], "FP32")
            x.set_data_from_numpy(np.float32([value]), binary_data=binary)
            return (await client.infer("half", [x])).as_numpy("y").tolist()
        told["answers"] = await asyncio.gather(*(ask(i, i % 2 == 0) for i in range(50)))
    print(json.dumps(told))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def triton_python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environments") / "triton"
    return make_environment(folder, "tritonclient[http]==2.73.0", dependencies=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with abused(tmp_path_factory.mktemp("served")) as one:
        yield one


@pytest.fixture(scope="module")
def told(triton_python, server):
    return told_by(triton_python, BLOCKING, "{}:{}".format(*server.place))


def test_health_and_metadata(told):
    assert (told["live"], told["ready"], told["models"]) == (True, True, [True, False])
    assert told["server"]["name"] == "agiwb"
    assert told["metadata"]["versions"] == ["1"]
    assert told["metadata"]["inputs"] == [
        {"name": "a", "datatype": "FP32", "shape": [-1]},
        {"name": "b", "datatype": "INT64", "shape": [-1]},
    ]
    assert told["text_metadata"]["outputs"] == [
        {"name": "same", "datatype": "BYTES", "shape": [-1]}
    ]


def test_json_and_binary_either_way_are_the_same(told):
    expected = [np.float32([4, 2 + (2**53 + 1)]).tolist(), [6, 2**54 + 2], "7", "float32"]
    for sent in (False, True):
        for received in (False, True):
            assert told[f"two {sent} {received}"] == expected
    assert told["all"] == ["b_twice", "sum"]


def test_the_answers_are_the_models(told, server):
    features = np.linspace(-1, 1, 192, dtype=np.float32).reshape(3, 64)
    path = server.folder / "mlp" / "1" / "model.onnx"
    expected = OnnxRuntime(path).run({"features": features})["probabilities"]
    for key in ("mlp None", "mlp gzip"):
        np.testing.assert_allclose(told[key], expected, rtol=1e-6)
    for one in told["many"]:
        np.testing.assert_allclose(one, expected, rtol=1e-6)


def test_text_comes_back_as_it_went(told):
    assert told["text False"] == told["text True"] == ["a", "\u00e9\u4e16"]


def test_refusals_are_the_clients_exceptions(told):
    (nowhere, missing, other) = told["refused"]
    assert nowhere[0] == "404"
    assert nowhere[1].startswith("Servable not found for request: Latest(nowhere)")
    assert missing == ["400", "The request lacks the inputs b."]
    assert other[0] == "400"
    assert "no input 'a'" in other[1]


def test_the_asynchronous_client(triton_python, server):
    told = told_by(triton_python, ASYNCHRONOUS, "{}:{}".format(*server.place))
    assert told["ready"]
    assert told["answers"] == [[value / 2 + 2] for value in range(50)]
