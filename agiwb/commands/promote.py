"""``agiwb promote``, ``agiwb rollback`` and ``agiwb history``: who answers, and who decided so."""

from __future__ import annotations

import json
from typing import TypeVar

from agiwb.flags import Parser, parse_flags, parser_for
from agiwb.maintenance.deciding import (
    PromoteConfig,
    RollBackConfig,
    promote_model,
    roll_back_model,
    told,
)
from agiwb.maintenance.decision import Standing
from agiwb.runs.listing import aligned

_LONGEST_WHY = 70

C = TypeVar("C", bound=RollBackConfig)


def promote(words: list[str], summary: str) -> int:
    """Make a version the champion."""
    config, as_json = _parsed("promote", summary, PromoteConfig, words)
    _print(config, promote_model(config), as_json=as_json)
    return 0


def rollback(words: list[str], summary: str) -> int:
    """Undo the last promotion."""
    config, as_json = _parsed("rollback", summary, RollBackConfig, words)
    _print(config, roll_back_model(config), as_json=as_json)
    return 0


def history(words: list[str], summary: str) -> int:
    """Show what was decided about a model."""
    from agiwb.maintenance.history import history as events_of

    parser = Parser(prog="agiwb history", description=summary)
    parser.add_argument("model", help="registered name of the model")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout, nothing cut")
    options = parser.parse_args(words)
    events = events_of(options.model)
    if options.json:
        print(json.dumps([event._asdict() for event in events], indent=2))
    elif events:
        heads = ("time (UTC)", "where", "who", "what", "version", "evidence", "stands", "why")
        rows = [
            (
                event.time[:19].replace("T", " "),
                event.where,
                event.who,
                event.action,
                event.version,
                event.evidence[:8],
                event.stands,
                event.why if len(event.why) <= _LONGEST_WHY else f"{event.why[:_LONGEST_WHY]}...",
            )
            for event in events
        ]
        print(aligned([heads, *rows]))
    else:
        print(f"Nothing was decided about {options.model} yet: `agiwb promote` does.")
    return 0


def _parsed(command: str, summary: str, kind: type[C], words: list[str]) -> tuple[C, bool]:
    """Return the config, whose model may stand without a flag, and whether JSON is wanted."""
    if words and not words[0].startswith("-"):
        words = ["--model", *words]
    parser = parser_for(command, summary, kind)
    parser.usage = f"agiwb {command} MODEL [flags]"
    parser.add_argument("--json", action="store_true", help="print what stands as JSON on stdout")
    config, flags = parse_flags(parser, kind, words)
    return config, "json" in flags


def _print(config: RollBackConfig, standing: Standing, *, as_json: bool) -> None:
    print(standing.model_dump_json(indent=2) if as_json else told(config.model, standing))
