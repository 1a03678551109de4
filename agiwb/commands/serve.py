"""``agiwb serve``: a server in the foreground."""

from __future__ import annotations

from agiwb.flags import parse_flags, parser_for
from agiwb.serving.serve import ServeConfig, run_server


def run(words: list[str], summary: str) -> int:
    """Serve until interrupted."""
    config, _ = parse_flags(parser_for("serve", summary, ServeConfig), ServeConfig, words)
    run_server(config)
    return 0
