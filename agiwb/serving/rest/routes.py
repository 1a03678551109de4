"""Which resource a request line names.

``/v1`` has TensorFlow Serving's grammar of paths, ``/v2`` the Open Inference Protocol's; ``/ping``
and ``/invocations`` are what SageMaker asks.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import unquote

from agiwb.errors import InputError, NotFoundError
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.versions import LARGEST_VERSION

Resource = Literal[
    "health",
    "metrics",
    "tensorflow_metrics",
    "status",
    "metadata",
    "predict",
    "classify",
    "regress",
    "v2_server",
    "v2_live",
    "v2_ready",
    "v2_model",
    "v2_model_ready",
    "v2_infer",
    "ping",
    "invocations",
    "admin",
]

_NAME_AND_VERSION = r"([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
_POST = re.compile(rf"/v1/models/{_NAME_AND_VERSION}:(classify|regress|predict)", re.IGNORECASE)
_GET = re.compile(rf"/v1/models/{_NAME_AND_VERSION}(?:/(metadata))?", re.IGNORECASE)
_ALL_MODELS = re.compile(r"/v1/models/?", re.IGNORECASE)
_V2_GET = re.compile(r"/v2/models/([^/]+)(?:/versions/(\d+))?(/ready)?")
_V2_POST = re.compile(r"/v2/models/([^/]+)(?:/versions/(\d+))?/infer")
_RESOURCES: dict[str, Resource] = {name: name for name in get_args(Resource)}
_FIXED: dict[tuple[str, str], Resource] = {
    ("GET", "/v1/healthz"): "health",
    ("GET", "/metrics"): "metrics",
    ("GET", "/monitoring/prometheus/metrics"): "tensorflow_metrics",
    ("GET", "/v2"): "v2_server",
    ("GET", "/v2/"): "v2_server",
    ("GET", "/v2/health/live"): "v2_live",
    ("GET", "/v2/health/ready"): "v2_ready",
    ("GET", "/ping"): "ping",
    ("POST", "/invocations"): "invocations",
}


@dataclass(frozen=True)
class Route:
    """What a request is for; ``version`` and ``label`` are None where neither is named."""

    resource: Resource
    model: str = ""
    version: int | None = None
    label: str | None = None

    @functools.cached_property
    def spec(self) -> ModelSpec:
        """The model asked."""
        return ModelSpec(self.model, self.version, self.label)


@functools.lru_cache(maxsize=1024)
def find_route(method: str, path: str) -> Route:
    """Return what ``method`` on the undecoded ``path`` asks for.

    Raises:
        InputError: There is no such resource.
        NotFoundError: The path is outside what the server speaks.
    """
    fixed = _FIXED.get((method, path))
    if fixed is not None:
        return Route(fixed)
    lower = path.lower()
    if lower.startswith("/v1/"):
        return _find_v1(method, path)
    if lower.startswith("/v2/"):
        return _find_v2(method, path)
    if path.startswith("/admin/"):
        return Route("admin")
    raise NotFoundError("Not Found")


def _find_v1(method: str, path: str) -> Route:
    if method == "GET" and _ALL_MODELS.fullmatch(path):
        raise InputError("Missing model name in request.")
    pattern = {"GET": _GET, "POST": _POST}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if match is None:
        raise InputError(f"Malformed request: {method} {path}")
    name, version, label, resource = match.groups()
    return Route(
        _RESOURCES[(resource or "status").lower()],
        unquote(name),
        None if version is None else version_number(version),
        None if label is None else unquote(label),
    )


def _find_v2(method: str, path: str) -> Route:
    get = _V2_GET.fullmatch(path) if method == "GET" else None
    post = _V2_POST.fullmatch(path) if method == "POST" else None
    match = get or post
    if match is None:
        raise NotFoundError(f"There is no {method} {path} in the Open Inference Protocol v2.")
    version = None if match[2] is None else version_number(match[2])
    if post:
        return Route("v2_infer", unquote(match[1]), version)
    return Route("v2_model_ready" if match[3] else "v2_model", unquote(match[1]), version)


def version_number(version: str) -> int:
    """Return the number that the digits ``version`` are.

    Raises:
        InputError: It is larger than any version.
    """
    # Digits enough for any int64; int() refuses thousands of them with an error of its own.
    if len(version.lstrip("0")) > len(str(LARGEST_VERSION)) or int(version) > LARGEST_VERSION:
        raise InputError(f"Failed to convert version: {version} to numeric.")
    return int(version)
