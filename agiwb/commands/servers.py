"""``agiwb servers``: the servers that outlive whoever started them; list or stop them."""

from __future__ import annotations

import json

from agiwb.flags import Parser
from agiwb.runs.listing import aligned


def run(words: list[str], summary: str) -> int:
    """List the detached servers, or stop one."""
    from agiwb.serving.detached import find_server, list_servers

    parser = Parser(prog="agiwb servers", description=summary)
    parser.add_argument("action", nargs="?", choices=["list", "stop", "logs"], default="list")
    parser.add_argument("id", nargs="?", help="the server (its first letters will do), or address")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout (list)")
    options = parser.parse_args(words)
    if options.action != "list":
        if not options.id:
            parser.error(f"{options.action} needs the id of a server")
        server = find_server(options.id)
        if options.action == "logs":
            print(server.log(lines=1000))
        else:
            server.stop()
            print(f"Server {server.id} is stopped.")
        return 0
    servers = list_servers()
    rows = [server.describe() for server in servers]
    if options.json:
        print(json.dumps(rows, indent=2))
    elif rows:
        heads = ("id", "state", "model", "version", "address", "pid", "started")
        print(aligned([heads, *(tuple(str(row[name]) for name in heads) for row in rows)]))
    else:
        print("No servers: `agiwb serve --detach` starts one.")
    return 0
