from __future__ import annotations

import pytest

from agiwb.errors import InputError, NotFoundError
from agiwb.serving.rest.routes import Route, find_route


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/v1/models/m:predict", Route("predict", "m")),
        ("POST", "/v1/models/m/versions/12:predict", Route("predict", "m", 12)),
        ("POST", "/V1/Models/m:PREDICT", Route("predict", "m")),
        ("POST", "/v1/models/a%20b:predict", Route("predict", "a b")),
        ("POST", "/v1/models/m:classify", Route("classify", "m")),
        ("POST", "/v1/models/m:regress", Route("regress", "m")),
        ("GET", "/v1/models/m", Route("status", "m")),
        ("GET", "/v1/models/m/versions/007", Route("status", "m", 7)),
        ("GET", "/v1/models/m/metadata", Route("metadata", "m")),
        ("GET", "/v1/models/m/versions/1/metadata", Route("metadata", "m", 1)),
        ("GET", f"/v1/models/m/versions/{2**63 - 1}", Route("status", "m", 2**63 - 1)),
        ("GET", "/v1/healthz", Route("health")),
        ("POST", "/v1/models/m/labels/stable:predict", Route("predict", "m", label="stable")),
        ("POST", "/v1/models/m/labels/a%20b:predict", Route("predict", "m", label="a b")),
        ("GET", "/metrics", Route("metrics")),
        ("GET", "/monitoring/prometheus/metrics", Route("tensorflow_metrics")),
        ("GET", "/v2", Route("v2_server")),
        ("GET", "/v2/health/ready", Route("v2_ready")),
        ("GET", "/v2/models/m", Route("v2_model", "m")),
        ("GET", "/v2/models/m/versions/3/ready", Route("v2_model_ready", "m", 3)),
        ("POST", "/v2/models/m/infer", Route("v2_infer", "m")),
        ("POST", "/v2/models/a%2Fb/versions/3/infer", Route("v2_infer", "a/b", 3)),
        ("GET", "/ping", Route("ping")),
        ("POST", "/invocations", Route("invocations")),
        ("PUT", "/admin/v1/models/m/canary", Route("admin")),
    ],
)
def test_a_path_names_a_resource(method, path, route):
    assert find_route(method, path) == route


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/v1/models/m:predict", "Malformed request: GET /v1/models/m:predict"),
        ("POST", "/v1/models/m", "Malformed request: POST /v1/models/m"),
        ("POST", "/v1/models/m/metadata", "Malformed request"),
        ("POST", "/v1/models/m/version/50:predict", "Malformed request"),
        ("POST", "/v1/models/m/label/x:predict", "Malformed request"),
        ("POST", "/v1/models/m/versions/50/labels/x:predict", "Malformed request"),
        ("POST", "/v1/models/m/versions/HELLO:predict", "Malformed request"),
        ("POST", "/v1/models/m:unknown", "Malformed request"),
        ("POST", "/v1/models/a/b:predict", "Malformed request"),
        ("PUT", "/v1/models/m:predict", "Malformed request: PUT"),
        ("POST", "/v1/healthz", "Malformed request"),
        ("GET", "/v1/other", "Malformed request"),
        ("GET", "/v1/models", "Missing model name in request."),
        ("GET", f"/v1/models/m/versions/{2**64 - 1}", f"Failed to convert version: {2**64 - 1}"),
        ("GET", f"/v1/models/m/versions/{'9' * 5000}", "Failed to convert version"),
    ],
)
def test_any_other_path_below_v1_is_malformed(method, path, message):
    with pytest.raises(InputError) as caught:
        find_route(method, path)
    assert message in str(caught.value)
    assert not isinstance(caught.value, NotFoundError)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v1models"),
        ("POST", "/metrics"),
        ("GET", "/v2/models"),
        ("POST", "/v2/models/m"),
        ("GET", "/v2/models/m/infer"),
        ("POST", "/ping"),
    ],
)
def test_what_the_server_does_not_speak_is_not_found(method, path):
    with pytest.raises(NotFoundError):
        find_route(method, path)
