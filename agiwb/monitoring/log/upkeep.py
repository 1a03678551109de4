"""Looking after the logs of models: compact, roll up, and only then delete what is too old.

Run it with ``python -m agiwb.monitoring.log.upkeep FOLDER...``; a server does so each hour.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from agiwb.errors import AgiwbError
from agiwb.monitoring.log.rolling import roll
from agiwb.serving.prediction_log.compaction import compact
from agiwb.serving.prediction_log.policy import LogPolicy


def keep_up(folder: Path, policy: LogPolicy) -> None:
    """Do so with the log of one model.

    Raises:
        ServingError, WorkError: The disk is full or fails; nothing was lost.
    """
    compact(folder)  # without a policy it deletes nothing
    roll(folder)
    if policy.keep_days is not None or policy.keep_bytes is not None:
        compact(folder, policy)


def main(arguments: Sequence[str] | None = None) -> int:
    """Look after each folder named, one a model, by a policy given as JSON; return 0 or 1."""
    parser = argparse.ArgumentParser(prog="agiwb.monitoring.log.upkeep")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--policy", default="{}", help="as JSON")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    code = 0
    try:
        policy = LogPolicy.from_mapping(json.loads(options.policy))
    except AgiwbError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for folder in options.folders:
        try:
            keep_up(folder, policy)
        except AgiwbError as error:  # one model's log is no other's
            print(error, file=sys.stderr)
            code = error.exit_code
    return code


if __name__ == "__main__":
    sys.exit(main())
