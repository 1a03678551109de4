"""``agiwb alerts``: what the newest check found about each served model, and Prometheus told it."""

from __future__ import annotations

import json
import signal
import threading
from datetime import UTC, datetime

from agiwb.errors import NotFoundError, did_you_mean
from agiwb.flags import Parser
from agiwb.monitoring.alerts import Findings, read_findings
from agiwb.monitoring.alerts_exporter import DEFAULT_PORT, exporting
from agiwb.runs.listing import aligned

_USAGE = """agiwb alerts [list] [--json]
       agiwb alerts show MODEL [--json]
       agiwb alerts export [--host ADDRESS] [--port N]"""
_ACTIONS = ["list", "show", "export"]


def run(words: list[str], summary: str) -> int:
    """List the models that were checked, show one, or tell all of them to Prometheus."""
    action, rest = (words[0], words[1:]) if words else ("list", [])
    parser = Parser(prog="agiwb alerts", description=summary, usage=_USAGE)
    if action == "export":
        return _export(parser, rest)
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    if action == "show":
        return _show(parser, rest)
    parser.add_argument("action", nargs="?", choices=_ACTIONS, default="list")
    return _list(as_json=parser.parse_args(words).json)


def _export(parser: Parser, words: list[str]) -> int:
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="default: %(default)s"
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, metavar="N", help="0: a free one")
    options = parser.parse_args(words)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with exporting(options.host, options.port) as port:
        print(f"Prometheus finds them at http://{options.host}:{port}/metrics", flush=True)
        ended.wait()
    return 0


def _show(parser: Parser, words: list[str]) -> int:
    parser.add_argument("model", metavar="MODEL", help="as it is served")
    options = parser.parse_args(words)
    known = {one.model: one for one in read_findings()[0]}
    found = known.get(options.model)
    if found is None:
        hint = did_you_mean(options.model, known) if known else "`agiwb monitor` looks at it."
        raise NotFoundError(f"Nothing was found about {options.model!r} yet.", hint)
    if options.json:
        print(found.model_dump_json(indent=2))
        return 0
    print(f"{found.model}, version {found.version}, checked {_moment(found.checked_at)} UTC")
    if found.episode is not None:
        led = f", led by {found.episode.feature}" if found.episode.feature else ""
        print(f"Alarm since {_moment(found.episode.since)} UTC{led}, in {found.episode.slice}.")
    print("\n".join(found.sentences))
    print(f"All figures: agiwb runs show {found.run_id}")
    return 0


def _list(*, as_json: bool) -> int:
    found, unreadable = read_findings()
    if as_json:
        print(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
    elif found:
        print(aligned([("model", "version", "checked", "rows", "verdict"), *map(_row, found)]))
    else:
        print("No served model was looked at yet: `agiwb monitor` does.")
    if unreadable:
        print(f"{unreadable} files of findings cannot be read; the next check writes them anew.")
    return 0


def _row(one: Findings) -> tuple[str, ...]:
    verdict = "not enough rows"
    if one.judged:
        verdict = "no alarm"
        if one.episode is not None:
            verdict = f"alarm since {_moment(one.episode.since)}: {', '.join(one.changed)}"
    return one.model, str(one.version), _moment(one.checked_at), str(one.rows), verdict


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
