"""What the headers of a request must be, beyond what the parser sees to."""

from __future__ import annotations

from typing import NoReturn

from agiwb.serving.status import Code, Refusal

_ONCE_ONLY = frozenset({b"host", b"content-length", b"transfer-encoding", b"content-encoding"})


def check_repeated(fields: list[tuple[bytes, bytes]]) -> None:
    """Raise Refusal if a header that may come once only came twice."""
    names = [name for name, _ in fields]
    for name in _ONCE_ONLY:
        if names.count(name) > 1:
            malform(f"The request has more than one `{name.decode()}` header.")


def check_old(version: str, headers: dict[bytes, bytes]) -> None:
    """Raise Refusal if a request of another version than 1.1 cannot be answered."""
    if version != "1.0":
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"The request is of HTTP/{version}; this server speaks HTTP/1.1 and 1.0.",
            http_status=505,
        )
    if b"transfer-encoding" in headers:
        malform("An HTTP/1.0 request cannot have a `Transfer-Encoding`.")


def malform(problem: str) -> NoReturn:
    """Raise the Refusal of a request that is against the grammar."""
    raise Refusal(Code.INVALID_ARGUMENT, problem)


def refuse_headers(what: str) -> NoReturn:
    """Raise the Refusal of headers that pass a limit; ``what`` says which."""
    raise Refusal(
        Code.INVALID_ARGUMENT,
        f"The request has headers {what}.",
        "Send the data in the body.",
        http_status=431,
    )
