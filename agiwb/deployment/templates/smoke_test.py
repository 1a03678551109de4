#!/usr/bin/env python3
"""Ask a server for answers that are known, and exit with 1 if it gives any other.

It needs nothing but Python 3.8. ``--golden`` holds real samples with the answers of the very model
files in this bundle.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Return 0 if every answer is as it should be, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8501")
    parser.add_argument("--golden", type=Path, default=HERE / "golden.json")
    parser.add_argument("--api-key-file", type=Path, help="file with one API key")
    parser.add_argument("--timeout", type=float, default=30, help="seconds for one answer")
    options = parser.parse_args()
    headers = {"Content-Type": "application/json"}
    if options.api_key_file:
        headers["X-API-Key"] = options.api_key_file.read_text().strip()
    golden = json.loads(options.golden.read_text())

    problems = 0
    for request in golden["requests"]:
        path = f"/v1/models/{golden['model']}/versions/{request['version']}:predict"
        body = json.dumps({"instances": request["instances"]}).encode()
        url = options.url.rstrip("/") + path
        problem = ask(url, body, headers, options.timeout, request, golden["tolerance"])
        problems += bool(problem)
        print(f"FAIL {path}: {problem}" if problem else f"ok   {path}")
    total = len(golden["requests"])
    print(f"{total - problems} of {total} requests were answered as they should be.")
    return 1 if problems or not total else 0


def ask(
    url: str,
    body: bytes,
    headers: dict[str, str],
    timeout: float,
    golden: dict[str, Any],
    tolerance: float,
) -> str:
    """Return what is wrong with the answer to ``body``, or ""."""
    try:
        call = urllib.request.Request(url, body, headers)  # noqa: S310  the operator gives the URL
        with urllib.request.urlopen(call, timeout=timeout) as answer:  # noqa: S310  likewise
            found = json.load(answer).get("predictions")
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code} {error.read(400).decode('utf-8', 'replace')}"
    except (OSError, ValueError) as error:
        return str(error)
    distance = difference(found, golden["predictions"])
    if distance <= tolerance:
        return ""
    return f"the answers differ by {distance:g}, and {tolerance:g} is allowed"


def difference(found: Any, wanted: Any) -> float:
    """Return the largest difference of two nested values; infinite if their form differs."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict) or set(found) != set(wanted):
            return math.inf
        pairs = [(found[name], wanted[name]) for name in wanted]
    elif isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return math.inf
        pairs = list(zip(found, wanted))  # noqa: B905  Python 3.8 has no `strict`
    elif is_number(found) and is_number(wanted):
        distance = abs(found - wanted)
        return math.inf if math.isnan(distance) else distance
    else:
        return 0.0 if found == wanted else math.inf
    return max((difference(*pair) for pair in pairs), default=0.0)


def is_number(value: Any) -> bool:
    """Return whether ``value`` is a JSON number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


if __name__ == "__main__":
    sys.exit(main())
