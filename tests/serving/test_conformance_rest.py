"""The conformance kit's cases over HTTP.

They are put to this project's server, or to the one at ``AGIWB_CONFORMANCE_ADDRESS``
(``http://host:port``), which should serve the models described in ``conformance/README.md``.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.serving.conformance_cases import body_of, is_like, read_cases
from tests.serving.conformance_models import (
    write_config,
    write_onnx_models,
    write_tensorflow_models,
)

ADDRESS = os.environ.get("AGIWB_CONFORMANCE_ADDRESS")
START_S = 60
TENSORFLOW_START_S = 180
LENGTH = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    if ADDRESS:
        yield ADDRESS
        return
    folder = tmp_path_factory.mktemp("models")
    yield from _serve(write_config(folder, write_onnx_models(folder)), START_S)


@pytest.fixture(scope="module")
def tensorflow_address(tmp_path_factory):
    if ADDRESS:
        yield ADDRESS
        return
    folder = tmp_path_factory.mktemp("tensorflow_models")
    config = write_config(folder, write_tensorflow_models(folder))
    yield from _serve(config, TENSORFLOW_START_S)


def _serve(config: Path, timeout_s: float):
    """Yield the address of a server of the models in ``config``; stop it afterwards."""
    words = ["--model-config-file", str(config), "--rest-api-port", "0", "--stop-with-stdin"]
    log = config.with_suffix(".log")
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "agiwb.serving.server", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        line = _first_line(process, timeout_s)
        assert line, log.read_text("utf-8")[-2000:]
        yield json.loads(line)["address"]
    finally:
        process.terminate()
        process.wait(60)
        process.stdin.close()
        process.stdout.close()


def _first_line(process, timeout_s: float) -> bytes:
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
    try:
        return lines.get(timeout=timeout_s)
    except queue.Empty:
        return b""


@pytest.mark.parametrize("name", ["rest_paths", "rest_predict", "rest_models", "rest_infer"])
def test_files_have_cases(name):
    assert len(read_cases(name)) > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        case
        for name in ("rest_paths", "rest_predict", "rest_models", "rest_infer")
        for case in read_cases(name)
    ],
)
def test_the_server_answers_as_the_case_says(case, address):
    check(case, address)


@pytest.mark.slow
@pytest.mark.parametrize("case", read_cases("rest_examples"))
def test_examples_are_answered_as_the_case_says(case, tensorflow_address):
    check(case, tensorflow_address)


def check(case, address: str) -> None:
    """Put a case to the server; fail unless it answers as the case says."""
    headers = {name.lower(): value for name, value in case.get("headers", {}).items()}
    body = body_of(case)
    if case.get("gzip"):
        body = gzip.compress(body)
    if "binary" in case:
        headers[LENGTH] = str(len(body))
        body += base64.b64decode(case["binary"])
    status, got, answer = ask(address, case["method"], case["path"], body, headers)
    assert status == case["status"], answer[:500]
    length = int(got.get(LENGTH, len(answer)))
    kind = "application/octet-stream" if "answer_binary" in case else "application/json"
    assert got["Content-Type"] == kind
    document = json.loads(answer[:length])
    if "answer_binary" in case:
        assert answer[length:] == base64.b64decode(case["answer_binary"])
    if "answer" in case:
        assert is_like(case["answer"], document), document
    if "contains" in case:
        assert holds(document, case["contains"]), document
    if "text" in case:
        assert case["text"] in answer.decode()
    if status >= http.client.BAD_REQUEST:
        assert document.keys() == {"error"}
        assert case.get("error", "") in document["error"]


def ask(address: str, method: str, path: str, body: bytes, headers: dict[str, str]):
    """Return status, headers and body of the answer."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def holds(document, part) -> bool:
    """Return whether ``document`` has all that ``part`` has, and perhaps more keys."""
    if isinstance(part, dict):
        return isinstance(document, dict) and all(
            name in document and holds(document[name], value) for name, value in part.items()
        )
    if isinstance(part, list):
        return (
            isinstance(document, list)
            and len(part) == len(document)
            and all(map(holds, document, part))
        )
    return is_like(part, document)
