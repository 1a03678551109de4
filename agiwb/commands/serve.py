"""``agiwb serve``: a server in the foreground, or one that stays when this process ends."""

from __future__ import annotations

from agiwb.flags import parse_flags, parser_for
from agiwb.serving.serve import ServeConfig, run_server


def run(words: list[str], summary: str) -> int:
    """Serve until interrupted; with ``--detach`` return once the server answers."""
    parser = parser_for("serve", summary, ServeConfig)
    parser.add_argument(
        "--detach", action="store_true", help="serve in a process of its own, and return"
    )
    config, flags = parse_flags(parser, ServeConfig, words)
    if "detach" not in flags:
        run_server(config)
        return 0
    from agiwb.serving.detached import serve_detached

    server = serve_detached(config)
    server.wait_until_ready()
    endpoint = server.endpoint()
    print(f"Server {server.id} answers at {endpoint.url}, process {endpoint.process_id}.")
    print(f"`agiwb servers stop {server.id}` stops it.")
    return 0
