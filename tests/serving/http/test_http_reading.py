"""A head that is recognised is read as one that is parsed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agiwb.serving.http import reading
from agiwb.serving.http.limits import Limits
from agiwb.serving.http.reading import RequestReader
from agiwb.serving.status import Refusal

HEAD = b"POST /v1/m:predict?a=b HTTP/1.1\r\nHost: a\r\nX-Request-Id: 7\r\nContent-Length: 4\r\n\r\n"
PLAIN = HEAD + b"abcd"
BARE = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


def with_header(line: bytes) -> bytes:
    return PLAIN.replace(b"Host: a\r\n", b"Host: a\r\n" + line)


PIECES = [
    PLAIN,
    HEAD + b"efgh",
    HEAD + b"\r\n\r\n",
    HEAD,
    b"abcd",
    b"abcdPOST",
    PLAIN + b"\r\n",
    b"\r\n" + PLAIN,
    b"\r\n\r\n" + PLAIN,
    HEAD + b"\r\n\r\n\r\n",
    PLAIN[:-1],
    PLAIN + PLAIN,
    PLAIN + b"P",
    BARE,
    BARE + BARE,
    BARE[:-2],
    b"\r\n",
    with_header(b"Connection: keep-alive\r\n"),
    with_header(b"Connection: close\r\n"),
    with_header(b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    with_header(b"Expect: 100-continue\r\n"),
    with_header(b"Content-Encoding: gzip\r\n"),
    with_header(b"Content-Encoding: identity\r\n"),
    with_header(b"Host: b\r\n"),
    PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
    PLAIN.replace(b"POST", b"HEAD"),
    PLAIN.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked"),
    HEAD.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n",
]


def read(pieces: list[bytes]) -> list[Any]:
    """Return what a reader makes of the pieces, one after the other."""
    reader = RequestReader(Limits(), "127.0.0.1", "")
    seen: list[Any] = []
    for piece in pieces:
        try:
            reader.feed(piece)
        except Refusal as refusal:
            return [*seen, str(refusal)]
        seen.append(list(reader.arrivals))
        seen.append((reader.is_reading, reader.is_in_body, reader.has_finished, reader.is_head))
        reader.arrivals.clear()
    return seen


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6), st.integers(1, 3))
def test_it_is_as_if_each_head_were_parsed(pieces: list[bytes], times: int) -> None:
    again = [piece for piece in pieces for _ in range(times)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_head_of", lambda *_: None)
        parsed = read(again)
    assert read(again) == parsed


@pytest.mark.parametrize("piece", [PLAIN, BARE, with_header(b"Connection: keep-alive\r\n")])
def test_the_second_of_equal_heads_is_not_parsed(
    piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    parse = RequestReader._parse
    monkeypatch.setattr(
        RequestReader, "_parse", lambda self, data: (parsed.append(data), parse(self, data))[1]
    )
    assert len(read([piece, piece, piece])) == 6
    assert parsed == [piece]


def test_what_has_an_effect_beside_its_request_is_parsed_each_time() -> None:
    reader = RequestReader(Limits(), "", "")
    reader.feed(with_header(b"Expect: 100-continue\r\n"))
    assert reader._last_head is None
