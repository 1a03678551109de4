"""curl: what people type first, and the tricks that it does on its own."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess

import pytest

from tests.serving.abuse.abused_server import abused

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with abused(tmp_path_factory.mktemp("served")) as one:
        yield one


@pytest.fixture
def curl(server):
    address = "http://{}:{}".format(*server.place)

    def ask(path, *words, data=None):
        ran = subprocess.run(
            ["curl", "-sS", "-m", "20", "-w", "\n%{http_code}", *words, f"{address}{path}"],
            input=data,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        body, _, status = ran.stdout.rpartition(b"\n")
        return int(status), body

    return ask


def test_predict_status_and_metadata(curl):
    assert curl("/v1/models/half:predict", "-d", '{"instances": [1.0, 2.0]}') == (
        200,
        b'{"predictions":[2.5,3.0]}',
    )
    status, body = curl("/v1/models/half")
    assert status == 200
    assert json.loads(body)["model_version_status"][0]["state"] == "AVAILABLE"
    status, body = curl("/v1/models/half/metadata")
    assert "serving_default" in json.loads(body)["metadata"]["signature_def"]["signature_def"]


def test_a_long_body_is_announced_and_a_stream_is_chunked(curl):
    """Beyond a megabyte curl waits for 100 Continue; of what it cannot seek it sends chunks."""
    body = json.dumps({"instances": [0.0] * 400_000}).encode()
    assert len(body) > 1 << 20
    chunked = ("-H", "Transfer-Encoding: chunked")
    for words in ((), chunked, ("-0",), ("-H", "Expect: 100-continue")):
        status, answer = curl("/v1/models/half:predict", *words, "--data-binary", "@-", data=body)
        assert status == 200
        assert json.loads(answer)["predictions"] == [2.0] * 400_000


def test_a_compressed_body(curl):
    body = gzip.compress(b'{"inputs": {"a": [1.5], "b": [2]}}')
    words = ("-H", "Content-Encoding: gzip", "--data-binary", "@-")
    status, answer = curl("/v1/models/two:predict", *words, data=body)
    assert (status, json.loads(answer)) == (200, {"outputs": {"sum": [3.5], "b_twice": [4]}})


def test_head_and_what_is_not_there(curl):
    assert curl("/v1/models/half", "-I")[0] == 200
    assert curl("/nowhere")[0] == 404
    assert curl("/v1/models/nowhere:predict", "-d", "{}")[0] == 404


def test_several_requests_share_a_connection(curl, server):
    again = "http://{}:{}/ping".format(*server.place)
    _, told = curl("/ping", again, again, "-w", "\n%{num_connects}")
    assert [line[:1] for line in told.splitlines()[1:]] == [b"1", b"0"]
