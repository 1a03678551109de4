"""KServe's clients of the Open Inference Protocol, over HTTP and gRPC, ask a server process."""

from __future__ import annotations

import pytest

from tests.serving.abuse.abused_server import abused
from tests.serving.client_environments import make_environment, told_by

pytestmark = pytest.mark.slow

OVER_HTTP = """
import asyncio, json, sys
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferOutput, InferRequest, RESTConfig

def request(model, *tensors, binary=False):
    inputs = []
    for name, datatype, values in tensors:
        one = InferInput(name, list(values.shape), datatype)
        one.set_data_from_numpy(values, binary_data=binary)
        inputs.append(one)
    return InferRequest(model_name=model, infer_inputs=inputs, request_id="7")

async def main():
    told = {}
    v2 = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
    told["live"] = await v2.is_server_live(sys.argv[1])
    told["ready"] = await v2.is_server_ready(sys.argv[1])
    told["model"] = await v2.is_model_ready(sys.argv[1], "two")
    a, b = np.float32([1, 2]), np.int64([3, 4])
    for binary in (False, True):
        asked = request("two", ("a", "FP32", a), ("b", "INT64", b), binary=binary)
        answer = await v2.infer(sys.argv[1], asked, model_name="two")
        told[f"two {binary}"] = {one.name: one.as_numpy().tolist() for one in answer.outputs}
        told[f"id {binary}"] = [answer.id, answer.model_name]
        text = request("echo", ("text", "BYTES", np.array(["a", "bc"], object)), binary=binary)
        (same,) = (await v2.infer(sys.argv[1], text, model_name="echo")).outputs
        told[f"text {binary}"] = [
            one.decode() if isinstance(one, bytes) else one for one in same.as_numpy().tolist()]
    v1 = InferenceRESTClient(RESTConfig(protocol="v1", timeout=60))
    told["v1"] = await v1.infer(sys.argv[1], {"instances": [1.0, 2.0]}, model_name="half")
    try:
        await v2.infer(sys.argv[1], request("two", ("a", "FP32", a)), model_name="two")
    except Exception as error:
        told["refused"] = [type(error).__name__, str(error)]
    print(json.dumps(told))

asyncio.run(main())
"""

OVER_GRPC = """
import asyncio, json, sys
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest

async def main():
    told = {}
    client = InferenceGRPCClient(sys.argv[1], timeout=60)
    told["live"] = await client.is_server_live()
    told["ready"] = [await client.is_server_ready(), await client.is_model_ready("two")]
    inputs = [InferInput("a", [2], "FP32"), InferInput("b", [2], "INT64")]
    inputs[0].set_data_from_numpy(np.float32([1, 2]))
    inputs[1].set_data_from_numpy(np.int64([3, 4]))
    answer = await client.infer(InferRequest(model_name="two", infer_inputs=inputs, request_id="7"))
    told["two"] = {one.name: one.as_numpy().tolist() for one in answer.outputs}
    told["id"] = answer.id
    await client.close()
    print(json.dumps(told))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def kserve_python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environments") / "kserve"
    return make_environment(folder, "kserve==0.21.0", dependencies=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with abused(tmp_path_factory.mktemp("served")) as one:
        yield one


def test_the_rest_client(kserve_python, server):
    told = told_by(kserve_python, OVER_HTTP, "http://{}:{}".format(*server.place))
    assert (told["live"], told["ready"], told["model"]) == (True, True, True)
    for binary in (False, True):
        assert told[f"two {binary}"] == {"sum": [4.0, 6.0], "b_twice": [6, 8]}
        assert told[f"id {binary}"] == ["7", "two"]
        assert told[f"text {binary}"] == ["a", "bc"]
    assert told["v1"] == {"predictions": [2.5, 3.0]}
    kind, words = told["refused"]
    assert kind == "HTTPStatusError"
    assert "400" in words


def test_the_grpc_client(kserve_python, server):
    told = told_by(kserve_python, OVER_GRPC, server.grpc_address)
    assert told["live"]
    assert told["ready"] == [True, True]
    assert told["two"] == {"sum": [4.0, 6.0], "b_twice": [6, 8]}
    assert told["id"] == "7"
