"""What a sweep tells of its candidates on the way is what a reader finds."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from agiwb.compression.trials.told import Told, not_made, read_told, tell_made
from agiwb.runs.context import Context
from agiwb.runs.events import Event
from agiwb.runs.record import RunInfo
from agiwb.runs.store import RunStore


def test_what_is_told_is_read_back(tmp_path: Path) -> None:
    events: list[Event] = []
    context = Context(cast(RunInfo, None), cast(RunStore, None), tmp_path, events.append)
    context.say("The data set has 5 classes.")
    tell_made(context, "prune_80+int8", 0.125, 7168.0)
    context.say(not_made("dynamic", "A layer has no version."))
    assert read_told(events) == [
        Told("prune_80+int8", validation_accuracy=0.875, gzip_bytes=7168),
        Told("dynamic", "A layer has no version."),
    ]
