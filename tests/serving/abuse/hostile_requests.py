"""HTTP requests that are almost right: what clients, proxies and attackers make of valid ones.

Each is drawn from a ``random.Random``: a valid request whose document, bytes, path, headers or
framing are changed at some places.
"""

from __future__ import annotations

import base64
import copy
import gzip
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

_LONG = 300
ODD_VALUES: tuple[Any, ...] = (None, True, False, 0, -1, 0.5, -0.0, 1e308, math.nan, math.inf)
ODD_VALUES += (2**31, 2**63, -(2**63), 2**64, 10**30, 10**400)
ODD_VALUES += ("", "x" * _LONG, "\x00", "\ud800", "\u202e\U0001f600", "NaN", "1")
ODD_VALUES += ("FP32", "FP16", "BYTES", "INT64", "BOOL", "serving_default")
ODD_VALUES += ({"b64": "!!!"}, {"b64": "/+8="}, {"b64": 5}, {"b64": "YQ==", "more": 1}, {"": 0})
ODD_VALUES += ([], {}, [[]], [[], [1]], [[1], 2], [None], [1, "a", {}], [-1])
ODD_VALUES += ([0, 2**62], [0, 2**62, 2**62], [0, 10**30], [2**32, 2**32])
ODD_VALUES += ({"binary_data_size": 8}, {"binary_data_size": -1}, {"binary_data_size": 10**30})
ODD_VALUES += ({"binary_data": True}, {"classification": 3})
ODD_KEYS = ("instances", "inputs", "signature_name", "examples", "context", "id", "outputs")
ODD_KEYS += ("parameters", "shape", "datatype", "data", "name", "b64", "x", "", "\x00")
METHODS = ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "CONNECT", "post")
PIECES = ("..", "%2e%2e", "%00", "%", "%zz", "%ff", "//", ";", "?", "?a=b", "#", "*", "\xe9", ":")
PIECES += ("versions/1", "versions/99999999999999999999", "versions/" + "9" * 5000, "labels/x")
PIECES += ("metadata", ":predict", ":classify", ":regress", "infer", "ready", "x" * _LONG, "admin")
ODD_HEADERS = (
    ("Inference-Header-Content-Length", ("0", "5", "-1", "9" * 5000, "x", "1e3", "\xb2")),
    ("Content-Encoding", ("gzip", "deflate", "br", "gzip, gzip", "identity", "")),
    ("Content-Type", ("text/csv", "application/jsonlines", "text/plain", "\xff", "")),
    (
        "X-Amzn-SageMaker-Custom-Attributes",
        ("tfs-model-name=two", "tfs-model-version=" + "9" * 5000),
    ),
    ("X-Request-Id", ("a" * 200, "\xff\xfe", "a\tb", "")),
    ("X-Sticky-Key", ("\xff" * 50, "")),
    ("Authorization", ("Bearer ", "Bearer \xff", "Basic eDp5", "bearer a.b.c")),
    ("X-API-Key", ("\xff", "x" * _LONG)),
    ("Expect", ("100-continue", "200-ok")),
    ("Connection", ("close", "keep-alive", "upgrade")),
    ("Upgrade", ("h2c", "websocket")),
    ("Accept-Encoding", ("gzip", "\xff")),
)


_ODD_BYTES = (b"\xff", b"\x00", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\ud800", b'"', b"\\", b",")
_ODD_BYTES += (b"NaN", b"-Infinity", b"Inf", b"null", b"//", b"1e999", b"9" * 5000, b"[" * 2000)
_ODD_BYTES += (b'{"a":' * 1500,)


@dataclass
class HostileRequest:
    """A request; ``framed`` if it has the bytes that its ``Content-Length`` says."""

    method: str
    path: str
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)
    line_end: bytes = b"\r\n"
    framed: bool = True
    cut: int | None = None

    def encode(self) -> bytes:
        """Return what goes over the wire."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost"]
        if self.framed:
            lines.append(f"Content-Length: {len(self.body)}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        head = self.line_end.join(line.encode("utf-8", "surrogatepass") for line in lines)
        return (head + self.line_end * 2 + self.body)[: self.cut]


@dataclass(frozen=True)
class Valid:
    """A request that is answered with 200."""

    path: str
    document: Any
    binary: bytes = b""


def _oip(shape: list[int], datatype: str, name: str, data: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def valid_requests() -> list[Valid]:
    """Return the requests that the hostile ones are made of."""
    values = np.float32([1, 2]).tobytes()
    raw = {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    text = base64.b64encode("\xe9".encode()).decode()
    infer = "/v2/models/{}/infer"
    return [
        Valid("/v1/models/half:predict", {"instances": [1.0, 2.0]}),
        Valid("/v1/models/half/versions/1:predict", {"inputs": {"x": [1, 2]}}),
        Valid("/v1/models/mlp:predict", {"instances": [[0.5] * 64], "signature_name": ""}),
        Valid("/v1/models/two:predict", {"instances": [{"a": 1.5, "b": 2}, {"a": 3, "b": 4}]}),
        Valid("/v1/models/two:predict", {"inputs": {"a": [1.5], "b": [2]}}),
        Valid("/v1/models/echo:predict", {"instances": ["a", {"b64": text}]}),
        Valid("/invocations", {"instances": [1.0]}),
        Valid(infer.format("half"), {"id": "7", "inputs": [_oip([2], "FP32", "x", [1.0, 2.0])]}),
        Valid(
            infer.format("two"),
            {
                "inputs": [_oip([2], "FP32", "a", [1, 2]), _oip([2], "INT64", "b", [3, 4])],
                "outputs": [{"name": "sum", "parameters": {"binary_data": True}}],
            },
        ),
        Valid(infer.format("echo"), {"inputs": [_oip([1], "BYTES", "text", ["a"])]}),
        Valid(
            infer.format("half"),
            {"inputs": [raw], "parameters": {"binary_data_output": True}},
            values,
        ),
    ]


VALID = valid_requests()
EXAMPLES = Valid("/v1/models/half:classify", {"examples": [{"x": 1.0, "y": ["a"]}], "context": {}})
"""Refused by models without such a signature, but only after it is read."""


def binary_headers(valid: Valid, text: bytes) -> list[tuple[str, str]]:
    """Return the header that tells where the JSON ``text`` ends, if something follows it."""
    return [("Inference-Header-Content-Length", str(len(text)))] if valid.binary else []


def draw_request(random: Random) -> HostileRequest:
    """Return a hostile request, or now and then a valid one."""
    valid = random.choice((*VALID, EXAMPLES))
    document = copy.deepcopy(valid.document)
    for _ in range(random.randint(0, 2)):
        document = _change_somewhere(document, random)
    text = _to_json(document)
    headers = binary_headers(valid, text)
    request = HostileRequest("POST", valid.path, text + valid.binary, headers)
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        random.choice(_CHANGES)(request, random)
    if request.method == "HEAD" and not request.path.startswith("/"):
        request.method = "GET"  # no request at all, so that nobody need know that it was HEAD
    return request


def _to_json(document: Any) -> bytes:
    return json.dumps(document).encode()


def _change_somewhere(value: Any, random: Random) -> Any:
    """Return a document with one of its places changed."""
    if isinstance(value, dict) and value and random.random() < 0.75:
        key = random.choice(list(value))
        action = random.randrange(8)
        if action == 0:
            del value[key]
        elif action == 1:
            value[random.choice(ODD_KEYS)] = value.pop(key)
        elif action == 2:
            value[random.choice(ODD_KEYS)] = random.choice(ODD_VALUES)
        else:
            value[key] = _change_somewhere(value[key], random)
        return value
    if isinstance(value, list) and value and random.random() < 0.75:
        place = random.randrange(len(value))
        action = random.randrange(6)
        if action == 0:
            del value[place]
        elif action == 1:
            value.insert(place, copy.deepcopy(value[place]))
        else:
            value[place] = _change_somewhere(value[place], random)
        return value
    if random.random() < 0.15:
        return [value]
    return copy.deepcopy(random.choice(ODD_VALUES))


def _flip_bits(request: HostileRequest, random: Random) -> None:
    body = bytearray(request.body)
    for _ in range(random.randint(1, 3)):
        if body:
            body[random.randrange(len(body))] ^= 1 << random.randrange(8)
    request.body = bytes(body)


def _cut_body(request: HostileRequest, random: Random) -> None:
    request.body = request.body[: random.randint(0, len(request.body))]


def _insert(request: HostileRequest, random: Random) -> None:
    piece = random.choice(_ODD_BYTES)
    place = random.randint(0, len(request.body))
    request.body = request.body[:place] + piece + request.body[place:]


def _repeat_keys(request: HostileRequest, random: Random) -> None:
    if request.body.startswith(b"{"):
        value = _to_json(random.choice(ODD_VALUES))
        key = _to_json(random.choice(ODD_KEYS))
        request.body = b"{" + key + b":" + value + b"," + request.body[1:]


def _change_path(request: HostileRequest, random: Random) -> None:
    parts = request.path.split("/")
    place = random.randrange(len(parts))
    action = random.randrange(3)
    if action == 0:
        parts[place] = random.choice(PIECES)
    elif action == 1:
        parts.insert(place, random.choice(PIECES))
    else:
        parts[place] += random.choice(PIECES)
    request.path = "/".join(parts)


def _change_method(request: HostileRequest, random: Random) -> None:
    request.method = random.choice(METHODS)


def _add_header(request: HostileRequest, random: Random) -> None:
    name, values = random.choice(ODD_HEADERS)
    request.headers.append((name, random.choice(values)))


def _compress(request: HostileRequest, random: Random) -> None:
    body = gzip.compress(request.body, mtime=0)
    request.body = body[: random.choice((len(body), len(body) - 3, 8))]
    request.headers.append(("Content-Encoding", "gzip"))


def _break_framing(request: HostileRequest, random: Random) -> None:
    """Make it such that nobody knows where the request ends: it takes a connection of its own."""
    action = random.randrange(6)
    request.framed = False
    if action == 0:
        request.headers.append(("Transfer-Encoding", "chunked"))
    elif action == 1:
        request.headers.append(("Content-Length", random.choice(("-1", "9" * 30, "0x5", "1, 2"))))
    elif action == 2:
        request.line_end = random.choice((b"\n", b"\r", b"\r\n\r\n"))
    elif action == 3:
        request.headers.append((random.choice(("a b", "", "a\x00", "\xff")), "x"))
    elif action == 4:
        request.cut = random.randint(0, 60)
    else:
        request.path = random.choice(("", "x", "http://", "http://x/v1/models/half", "\x00", "a b"))


_CHANGES: tuple[Callable[[HostileRequest, Random], None], ...] = (
    _flip_bits,
    _cut_body,
    _insert,
    _repeat_keys,
    _change_path,
    _change_method,
    _add_header,
    _add_header,
    _compress,
    _break_framing,
)
