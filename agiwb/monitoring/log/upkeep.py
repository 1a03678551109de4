"""Looking after the logs of models: compact, roll up, share, and only then delete what is too old.

Run it with ``python -m agiwb.monitoring.log.upkeep FOLDER...``; a server does so each hour.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from agiwb.errors import AgiwbError, WorkspaceError
from agiwb.monitoring.log.rolling import roll
from agiwb.monitoring.log.sharing import adopt_profiles, bring_up, retain_shared
from agiwb.serving.prediction_log.compaction import compact
from agiwb.serving.prediction_log.policy import LogPolicy
from agiwb.serving.prediction_log.shared import SharedLog, shared_log


def keep_up(folder: Path, policy: LogPolicy) -> None:
    """Do so with the log of one model.

    A policy is a promise: what could not be shared for as long as it keeps things is deleted, too.

    Raises:
        ServingError, WorkError: The disk is full or fails; nothing was lost.
        WorkspaceError: The object store cannot be used; all else was done.
    """
    compact(folder)  # without a policy it deletes nothing
    away = None
    if (shared := shared_log(folder)) is None:
        roll(folder)
    else:
        away = _roll_and_share(folder, shared, policy)
    if policy.keep_days is not None or policy.keep_bytes is not None:
        compact(folder, policy)
    if away is not None:
        raise away


def _roll_and_share(folder: Path, shared: SharedLog, policy: LogPolicy) -> WorkspaceError | None:
    """Return what kept the log from being shared, if anything did; it is rolled up anyway."""
    try:
        adopt_profiles(folder, shared)
    except WorkspaceError as error:
        roll(folder)
        return error
    roll(folder)
    try:
        bring_up(folder, shared)
        retain_shared(shared, policy)
    except WorkspaceError as error:
        return error
    return None


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
