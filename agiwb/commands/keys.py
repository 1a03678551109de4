"""``agiwb keys``: the API keys that a server of this workspace accepts."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from agiwb.flags import Parser
from agiwb.runs.listing import aligned
from agiwb.serving.access.identity import SCOPES
from agiwb.serving.access.key_file import StoredKey, read_keys
from agiwb.serving.access.keys import add_key, keys_path, revoke_key
from agiwb.settings import Settings

_USAGE = """agiwb keys [list] [--json]
       agiwb keys add NAME [--scopes SCOPE ...] [--days N] [--rate N] [--json]
       agiwb keys revoke NAME [--json]"""


def run(words: list[str], summary: str) -> int:
    """List the keys, make one and print it, this once, or revoke one."""
    action, rest = (words[0], words[1:]) if words else ("list", [])
    parser = Parser(prog="agiwb keys", description=summary, usage=_USAGE)
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    if action == "add":
        return _add(parser, rest)
    if action == "revoke":
        return _revoke(parser, rest)
    parser.add_argument("action", nargs="?", choices=["list", "add", "revoke"], default="list")
    return _list(as_json=parser.parse_args(words).json)


def _add(parser: Parser, words: list[str]) -> int:
    parser.add_argument("name", metavar="NAME", help="what logs call its user")
    parser.add_argument(
        "--scopes", nargs="+", choices=SCOPES, default=["predict"], help="what it allows"
    )
    parser.add_argument("--days", type=float, help="it ends after these; by default never")
    parser.add_argument("--rate", type=float, help="requests a second; by default any number")
    options = parser.parse_args(words)
    lifetime = None if options.days is None else timedelta(days=options.days)
    key, entry = add_key(
        keys_path(Settings().workspace_path),
        options.name,
        options.scopes,
        lifetime=lifetime,
        rate=options.rate,
    )
    if options.json:
        print(json.dumps({**_description(entry), "key": key}, indent=2))
    else:
        print(key)
        print(f"This is the only time that the key of `{entry.name}` is shown: keep it safe.")
        print("Clients send it as `X-API-Key: KEY`, or as `Authorization: Bearer KEY`.")
        path = keys_path(Settings().workspace_path)
        print(f"A server takes it if it is started with `--api-keys-file {path}`.")
    return 0


def _revoke(parser: Parser, words: list[str]) -> int:
    parser.add_argument("name", metavar="NAME", help="the key to refuse from now on")
    options = parser.parse_args(words)
    entry = revoke_key(keys_path(Settings().workspace_path), options.name)
    if options.json:
        print(json.dumps(_description(entry), indent=2))
    else:
        print(f"The key `{entry.name}` (...{entry.last_four}) is revoked.")
    return 0


def _list(*, as_json: bool) -> int:
    keys = read_keys(keys_path(Settings().workspace_path))
    if as_json:
        print(json.dumps([_description(entry) for entry in keys], indent=2))
    elif keys:
        print(aligned([("name", "scopes", "key", "created", "expires", "rate"), *map(_row, keys)]))
    else:
        print("No API keys yet: `agiwb keys add NAME` makes one.")
    return 0


def _row(entry: StoredKey) -> tuple[str, ...]:
    return (
        entry.name,
        ", ".join(entry.scopes),
        f"...{entry.last_four}",
        f"{entry.created.astimezone():%Y-%m-%d %H:%M}",
        f"{entry.expires.astimezone():%Y-%m-%d %H:%M}" if entry.expires else "never",
        f"{entry.rate:g}/s" if entry.rate else "any",
    )


def _description(entry: StoredKey) -> dict[str, Any]:
    """Return all there is to know of a key except its hash."""
    return entry.model_dump(mode="json", exclude={"salt", "sha256"})
