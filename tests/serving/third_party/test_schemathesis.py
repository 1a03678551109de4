"""Schemathesis, which makes requests of a description in OpenAPI, and judges the answers by it."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.serving.abuse.abused_server import abused
from tests.serving.client_environments import make_environment

pytestmark = pytest.mark.slow
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string", "minLength": 1}},
    "required": ["error"],
    "additionalProperties": False,
}
NUMBERS = {"type": "array", "items": {"type": "number"}}
TENSOR = {
    "type": "object",
    "properties": {
        "name": {"enum": ["x", "a", "b"]},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"enum": ["FP32", "INT64", "BYTES", "BOOL", "FP16"]},
        "data": {"type": "array"},
        "parameters": {"type": "object"},
    },
    "required": ["name", "shape", "datatype"],
}
PREDICT = {
    "type": "object",
    "properties": {"instances": {}, "inputs": {}, "signature_name": {"type": "string"}},
}
INFER = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "inputs": {"type": "array", "items": TENSOR, "minItems": 1},
        "outputs": {"type": "array", "items": {"type": "object"}},
        "parameters": {"type": "object"},
    },
    "required": ["inputs"],
}


def answer(schema):
    return {"description": "", "content": {"application/json": {"schema": schema}}}


def operation(schema, *statuses, body=None, parameters=()):
    """Return an operation that is answered by ``schema``, or refused with one of ``statuses``."""
    described = {
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": its}
            for name, its in parameters
        ],
        "responses": {"200": answer(schema)}
        | {str(status): answer(ERROR) for status in (400, 404, *statuses)},
    }
    if body is not None:
        content = {"application/json": {"schema": body}}
        described["requestBody"] = {"required": True, "content": content}
    return described


NAME = ("name", {"enum": ["half", "mlp", "two", "echo", "nowhere"]})
ANY_NAME = ("name", {"type": "string", "minLength": 1})
VERSION = ("version", {"type": "integer"})
OBJECT = {"type": "object"}
PREDICTED = {
    "type": "object",
    "oneOf": [{"required": ["predictions"]}, {"required": ["outputs"]}],
}
INFERRED = {
    "type": "object",
    "properties": {"model_name": {"type": "string"}, "outputs": {"type": "array"}},
    "required": ["model_name", "outputs"],
}
STATUS = {"type": "object", "required": ["model_version_status"]}
DESCRIPTION = {
    "openapi": "3.0.3",
    "info": {"title": "prediction server", "version": "1"},
    "paths": {
        "/v1/models/{name}": {"get": operation(STATUS, parameters=[ANY_NAME])},
        "/v1/models/{name}/versions/{version}/metadata": {
            "get": operation(OBJECT, parameters=[NAME, VERSION])
        },
        "/v1/models/{name}:predict": {
            "post": operation(PREDICTED, 501, body=PREDICT, parameters=[NAME])
        },
        "/v1/models/{name}:classify": {"post": operation(OBJECT, body=OBJECT, parameters=[NAME])},
        "/v2/models/{name}": {"get": operation(OBJECT, parameters=[ANY_NAME])},
        "/v2/models/{name}/infer": {
            "post": operation(INFERRED, 501, body=INFER, parameters=[NAME])
        },
        "/v2": {"get": operation(OBJECT)},
        "/invocations": {"post": operation(PREDICTED, body={"oneOf": [PREDICT, NUMBERS]})},
        "/admin/v1/models": {"post": operation(OBJECT, 401, 403, body=OBJECT)},
    },
}


def test_every_answer_is_as_described(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schemathesis")
    python = make_environment(folder / "environment", "schemathesis==4.32.5", dependencies=True)
    (folder / "openapi.json").write_text(json.dumps(DESCRIPTION))
    with abused(folder / "served") as server:
        words = ["--url", "http://{}:{}".format(*server.place), "--checks", ",".join(CHECKS)]
        words += ["--max-examples", "30", "--seed", "1", "--mode", "all", "--no-color"]
        ran = subprocess.run(
            [python.with_name("schemathesis"), "run", folder / "openapi.json", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert server.serves()
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-1000:]
    assert "no issues found" in ran.stdout.lower() or "passed" in ran.stdout.lower()
