#!/usr/bin/env python3
"""Make the secrets of this deployment, in the folder ``secrets``; it needs agiwb.

``api_keys`` is what the server reads: hashes. ``client_key`` and ``metrics_key`` are the
keys themselves, for clients and for Prometheus. ``grafana_password`` is the administrator's.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

from agiwb.serving.access.keys import add_key

FOLDER = Path(__file__).resolve().parent / "secrets"


def main() -> int:
    """Return 0 once the secrets are written, or 1 if there are some already."""
    if FOLDER.exists():
        print(f"{FOLDER} is there already.", file=sys.stderr)
        return 1
    # The containers' users must be able to read the files; the folder keeps everyone else out.
    FOLDER.mkdir(mode=0o700)
    stored = FOLDER / "api_keys"
    write("client_key", add_key(stored, "client", ["predict"])[0])
    write("metrics_key", add_key(stored, "metrics", ["metrics"])[0])
    write("grafana_password", secrets.token_urlsafe(24))
    stored.chmod(0o644)
    return 0


def write(name: str, text: str) -> None:
    """Write one secret, without an end of line: some readers would take it for a part."""
    path = FOLDER / name
    path.write_text(text)
    path.chmod(0o644)


if __name__ == "__main__":
    sys.exit(main())
