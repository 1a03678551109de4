"""Which resource a request line names, by TensorFlow Serving's grammar of paths."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import unquote

from agiwb.errors import InputError, NotFoundError
from agiwb.serving.versions import LARGEST_VERSION

Resource = Literal["health", "status", "metadata", "predict", "classify", "regress"]

_NAME_AND_VERSION = r"([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
_POST = re.compile(rf"/v1/models/{_NAME_AND_VERSION}:(classify|regress|predict)", re.IGNORECASE)
_GET = re.compile(rf"/v1/models/{_NAME_AND_VERSION}(?:/(metadata))?", re.IGNORECASE)
_ALL_MODELS = re.compile(r"/v1/models/?", re.IGNORECASE)
_RESOURCES: dict[str, Resource] = {name: name for name in get_args(Resource)}
_HEALTH = "/v1/healthz"


@dataclass(frozen=True)
class Route:
    """What a request is for; ``version`` is None where the latest is meant."""

    resource: Resource
    model: str = ""
    version: int | None = None


@functools.lru_cache(maxsize=256)
def find_route(method: str, path: str) -> Route:
    """Return what ``method`` on the undecoded ``path`` asks for.

    Raises:
        InputError: TensorFlow Serving has no such resource.
        NotFoundError: The path is outside ``/v1/``.
    """
    if method == "GET" and path == _HEALTH:
        return Route("health")
    if not path.lower().startswith("/v1/"):
        raise NotFoundError("Not Found")
    if method == "GET" and _ALL_MODELS.fullmatch(path):
        raise InputError("Missing model name in request.")
    pattern = {"GET": _GET, "POST": _POST}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if match is None:
        raise InputError(f"Malformed request: {method} {path}")
    name, version, label, resource = match.groups()
    if label is not None:
        raise InputError(f"Unrecognized servable version label: {unquote(label)}")
    return Route(
        _RESOURCES[(resource or "status").lower()],
        unquote(name),
        None if version is None else _number(version),
    )


def _number(version: str) -> int:
    # Digits enough for any int64; int() refuses thousands of them with an error of its own.
    if len(version.lstrip("0")) > len(str(LARGEST_VERSION)) or int(version) > LARGEST_VERSION:
        raise InputError(f"Failed to convert version: {version} to numeric.")
    return int(version)
