"""Bodies that came compressed."""

from __future__ import annotations

import zlib

from agiwb.serving.status import Code, Refusal

_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def inflate(body: bytes, most_bytes: int) -> bytes:
    """Return the inflated content of the gzip members in ``body``.

    No more than ``most_bytes`` (and one byte) are ever inflated, whatever the body claims.

    Raises:
        Refusal: It is not gzip, is cut off (400), or is larger than ``most_bytes`` (413).
    """
    parts: list[bytes] = []
    left = most_bytes
    while body:
        member = zlib.decompressobj(_GZIP_WINDOW)
        try:
            part = member.decompress(body, left + 1)
        except zlib.error as error:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"The body is not valid gzip: {error}.",
                "Compress it again, or send it without `Content-Encoding`.",
            ) from None
        left -= len(part)
        if left < 0:
            raise Refusal(
                Code.RESOURCE_EXHAUSTED,
                f"The body inflates to more than the {most_bytes:,} bytes allowed.",
                "Send fewer rows in one request.",
                http_status=413,
            )
        if not member.eof:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "The gzip body ends before its end mark.",
                "Check that all of it is sent.",
            )
        parts.append(part)
        body = member.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)
